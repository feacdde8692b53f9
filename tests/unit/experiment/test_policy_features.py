from stream_app.experiment.kernels.policy_features import PolicyFeature
from stream_app.experiment.policy_features import FEATURES


def test_affinity_features_have_adjacent_columns_in_the_order_they_are_written() -> None:
    start = PolicyFeature.CATEGORY_AFFINITY
    assert FEATURES[start : PolicyFeature.PRICE_DISTANCE + 1] == (
        "category_affinity",
        "brand_affinity",
        "price_distance",
    )
