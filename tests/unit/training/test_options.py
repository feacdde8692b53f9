"""The options that an operator names: all reach the training, and unknown ones are one sentence."""

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.models.two_tower_network import NetworkShape
from stream_app.training.config import TrainingConfig
from stream_app.training.options import configure, option_names

VALUES: dict[str, object] = {
    "encoder": "gru",
    "n_factors": 32,
    "context_length": 10,
    "hidden": 16,
    "rows": 16,
    "negatives": 256,
    "new_interactions": 64,
    "young": 9_000,
    "young_steps": 2,
    "share_of_newest": 0.5,
    "item_rate": 0.01,
    "dense_rate": 0.001,
    "content_rate": 0.002,
    "rate_half_time": 500.0,
    "last_rate": 0.5,
    "average": 0.0,
    "dropout": 0.0,
    "id_dropout": 0.3,
    "loss": "sigmoid",
    "in_batch": True,
    "augmentations": ["crop", "mask", "reorder", "substitute"],
    "augmented": 0.25,
    "contrast": 0.1,
    "contrast_pairs": 8,
    "generated": 0.1,
    "generated_for": "segments",
    "temperature": 1.5,
}


def configured(options: dict[str, object]) -> dict[str, object]:
    shape, config = configure(options, max_items=50, seed=3, n_segments=4, session_gap=60.0)
    return {**msgspec.to_builtins(shape), **msgspec.to_builtins(config)}


def test_all_options_reach_the_training() -> None:
    assert sorted(VALUES) == sorted(option_names())
    defaults = msgspec.to_builtins(NetworkShape()) | msgspec.to_builtins(TrainingConfig())
    result = configured(VALUES)
    for name, value in VALUES.items():
        found = result[name]
        assert (list(found) if isinstance(found, tuple) else found) == value != defaults[name]
    assert (result["max_items"], result["seed"], result["n_segments"]) == (50, 3, 4)
    assert result["session_gap"] == 60.0


def test_without_options_all_is_as_by_default() -> None:
    assert configure({}, max_items=200_000, seed=7, n_segments=0) == (NetworkShape(), TrainingConfig())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoders": "gru"}, "there is no option 'encoders'; there are encoder, n_factors, "),
        ({"encoder": "lstm"}, "encoder is not 'lstm' but one of attention, gru."),
        ({"augmentations": ["flip"]}, r"augmentations is not \['flip'\] but some of crop, mask, reorder"),
        ({"dropout": 1.0}, r"dropout is not 1.0 \(expected float < 1.0\)."),
        ({"temperature": float("nan")}, "temperature is not nan"),
        ({"rate_half_time": float("inf")}, "rate_half_time is not inf"),
        ({"rows": True}, "rows is not True"),
        ({"in_batch": 1}, "in_batch is not 1"),
        ({"negatives": 10**9}, "negatives is not 1000000000"),
        ({"seed": 1}, "seed is the setting HEADRACE_SEED."),
        ({"session_gap": 60.0}, "session_gap is the setting HEADRACE_SESSION_GAP."),
        ({"contrast": 0.1}, "contrast compares changed sequences and needs augmentations."),
    ],
)
def test_an_invalid_option_is_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"^HEADRACE_NEURAL_OPTIONS: {message}") as raised:
        configured(options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("target", ["segments", "both"])
def test_sequences_of_segments_need_segments(target: str) -> None:
    options: dict[str, object] = {"generated": 0.3, "generated_for": target}
    with pytest.raises(UserError, match="needs segments: set HEADRACE_SEGMENT_SLOTS"):
        configure(options, max_items=50, seed=3, n_segments=0)
    assert configured(options)["generated_for"] == target
    assert configure({**options, "generated": 0.0}, max_items=50, seed=3, n_segments=0)
