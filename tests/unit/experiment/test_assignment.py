import pytest

from stream_app.experiment.assignment import Shares

SHOPPERS = [f"shopper {n}" for n in range(20_000)]


def test_each_policy_gets_its_share_of_the_shoppers() -> None:
    of = [Shares({"a": 5, "b": 3, "c": 2}).policy_of(who) for who in SHOPPERS]
    assert [of.count(name) / len(of) for name in "abc"] == pytest.approx([0.5, 0.3, 0.2], abs=0.012)


def test_a_shopper_keeps_the_policy_whatever_the_order_of_the_weights() -> None:
    one, other = Shares({"a": 1, "b": 1}), Shares({"b": 1, "a": 1})
    assert [one.policy_of(who) for who in SHOPPERS] == [other.policy_of(who) for who in SHOPPERS]


def test_a_weight_that_grows_draws_shoppers_to_its_policy_and_moves_nobody_else() -> None:
    before, after = Shares({"a": 1, "b": 1, "c": 1}), Shares({"a": 2, "b": 1, "c": 1})
    moved = {(before.policy_of(who), after.policy_of(who)) for who in SHOPPERS}
    assert moved == {("a", "a"), ("b", "b"), ("c", "c"), ("b", "a"), ("c", "a")}


def test_a_policy_that_rests_gets_nobody_and_the_others_keep_theirs() -> None:
    before, after = Shares({"a": 1, "b": 1, "c": 1}), Shares({"a": 1, "b": 1, "c": 1}, resting=["b"])
    for who in SHOPPERS[:2_000]:
        policy = before.policy_of(who)
        assert after.policy_of(who) == policy if policy != "b" else after.policy_of(who) != "b"
    assert after.fraction("b") == 0.0
    assert after.fraction("a") == 0.5


def test_where_all_rest_the_control_alone_has_everybody() -> None:
    shares = Shares({"a": 1, "b": 1, "c": 1}, resting=["a", "b", "c"], control="b")
    assert {shares.policy_of(who) for who in SHOPPERS[:200]} == {"b"}
    assert [shares.fraction(name) for name in "abc"] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("control", ["", "d", "elsewhere"])
def test_where_all_rest_and_the_control_has_no_weight_none_does(control: str) -> None:
    shares = Shares({"a": 1, "b": 1, "d": 0}, resting=["a", "b"], control=control)
    assert [shares.fraction(name) for name in "abd"] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}])
def test_weights_that_split_nobody_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        Shares(weights)


def test_tiny_weights_split_shoppers_as_their_ratio_says() -> None:
    tiny, plain = Shares({"a": 1e-320, "b": 3e-320}), Shares({"a": 1.0, "b": 3.0})
    who = [f"shopper {number}" for number in range(200)]
    assert [tiny.policy_of(each) for each in who] == [plain.policy_of(each) for each in who]
