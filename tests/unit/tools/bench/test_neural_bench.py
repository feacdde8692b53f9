"""A small run of the benchmark of the two-tower model reports every cost."""

import msgspec
import pytest

from stream_app.tools.bench.neural import NeuralReport, measure_checkpoint, measure_training, print_report
from stream_app.tools.bench.trainer_lag import TrainerLag

pytest.importorskip("jax", reason="the trainer needs JAX: pip install 'headrace[neural]'")


def test_each_cost_of_the_model_is_measured_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    training, checkpoint = measure_training(4), measure_checkpoint(300, 5)
    assert training.interactions_per_second > 0.0
    assert training.step_ms > 0.1, "a step that had nothing to learn from takes no time"
    assert all(value > 0 for value in msgspec.to_builtins(checkpoint).values())
    print_report(NeuralReport(training, TrainerLag(500.0, 498.0, 0.25, 1.5, 2), [checkpoint]))
    printed = capsys.readouterr().out
    for text in ("interactions per second", "at most 1.50 s", "300 items", "features of 200 candidates"):
        assert text in printed
