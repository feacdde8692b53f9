"""What a trainer learns from records, and the trial of weights before they are published."""

from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from state.snapshots.encoding import SnapshotError
from stream_app.models.checkpoint import Manifest, decode_checkpoint, encode_checkpoint
from stream_app.models.item_content import ItemContent
from stream_app.trainer.learner import CHOICES, MIN_CHOICES, Learner
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.training.two_tower_training import TwoTowerTraining, user_key
from tests.support.trained_shop import CONFIG, SHAPE, ring_items
from topics.records import Interaction, Kind, Line, Source


class Record(NamedTuple):
    value: bytes | None
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    topic: str = ""


class Log:
    """Records of sessions along a ring of items."""

    def __init__(self) -> None:
        self.offset = 0
        self.n_sessions = 0

    def record(self, user: str, kind: Kind, *items: str, offset: int | None = None) -> Record:
        at = self.offset if offset is None else offset
        self.offset = max(self.offset, at + 1)
        lines = tuple(Line(item) for item in items)
        interaction = Interaction(Source.CLICK, 0, at, 1e9 + 40.0 * at, user, kind, lines)
        return Record(msgspec.msgpack.encode(interaction), offset=at)

    def sessions(self, n: int) -> list[Record]:
        found = []
        for _ in range(n):
            user, items = f"user {self.n_sessions}", ring_items(self.n_sessions * 7, 6)
            found += [self.record(user, Kind.VIEW, item) for item in items]
            self.n_sessions += 1
        return found


def make_learner() -> Learner:
    return Learner(TwoTowerTraining(SHAPE, CONFIG), TrainerMetrics())


def value(learner: Learner, name: str) -> Any:
    return learner._metrics.registry.get_sample_value(name)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_step_is_taken_for_each_so_many_interactions(log: Log) -> None:
    learner = make_learner()
    learner.fold_interactions(log.sessions(100))
    assert learner.training.n_interactions == 600
    assert learner.training.n_steps == 600 // CONFIG.new_interactions
    assert value(learner, "headrace_trainer_interactions_total") == 600
    assert np.isfinite(learner.loss)


def test_an_interaction_that_was_sent_twice_is_learned_once(log: Log) -> None:
    learner = make_learner()
    records = log.sessions(2)
    learner.fold_interactions(records)
    learner.fold_interactions([*records, log.record("ann", Kind.VIEW, "i1")])
    assert learner.training.n_interactions == 13
    assert value(learner, "headrace_trainer_interactions_dropped_total") == 12


def test_bad_records_stop_nothing(log: Log) -> None:
    learner = make_learner()
    learner.fold_interactions([Record(b"\xc1"), Record(None), Record(b""), *log.sessions(1)])
    assert learner.training.n_interactions == 6


def test_embeddings_that_the_settings_do_not_have_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    content = ItemContent(3)
    learner = Learner(TwoTowerTraining(SHAPE, CONFIG, content=content), TrainerMetrics())

    def entry(number: int, **embeddings: list[float]) -> Record:
        item = {"item_id": f"i{number}", "event_id": f"e{number}", "ts": 1_700_000_000_000, **embeddings}
        return Record(msgspec.json.encode(item), timestamp=1_700_000_000_000)

    learner.fold_catalog([entry(1, text_embedding=[0.1, 0.2, 0.3])])
    assert not caplog.messages
    for number in (2, 3):
        learner.fold_catalog([entry(number, text_embedding=[0.1, 0.2, 0.3], image_embedding=[1.0] * 5)])
    [message] = caplog.messages
    assert "image embeddings of the catalog have 5 numbers" in message
    assert "HEADRACE_IMAGE_DIMENSIONS is 0" in message


def test_an_idle_trainer_replays_up_to_a_bound(log: Log) -> None:
    learner = make_learner()
    assert learner.replay(10) <= 1, "there is nothing to learn from"
    learner.fold_interactions(log.sessions(60))
    n_calls = 0
    while learner.replay(50):
        n_calls += 1
        assert n_calls < 20
    assert learner.training.n_predictions >= 10 * learner.training.n_interactions


def test_an_erased_user_is_forgotten_and_so_are_the_choices_that_are_measured(log: Log) -> None:
    learner = make_learner()
    learner.fold_interactions(log.sessions(3))
    learner.begin_trial({0: 18})
    learner.fold_interactions(log.sessions(3))
    assert learner.trial is not None
    assert learner.trial.choices
    learner.fold_interactions([log.record("user 4", Kind.ERASE)])
    assert not learner.trial.choices
    known = {each.user_hash for each in learner.training.buffer.pop_new()}
    assert user_key("user 4") not in known
    assert user_key("user 5") in known


def test_weights_are_measured_on_choices_that_they_have_not_seen(log: Log) -> None:
    learner = make_learner()
    learner.fold_interactions(log.sessions(400))
    while learner.replay(50):
        pass
    learner.begin_trial({0: log.offset})
    weights = learner.training.weights()
    learner.fold_interactions(log.sessions(200))
    trial = learner.end_trial()
    assert trial.is_complete
    assert len(trial.choices) == CHOICES
    assert (trial.offsets, trial.interactions) == ({0: 2_400}, 2_400)
    assert all(
        np.array_equal(trial.weights.parameters[name], weights.parameters[name])
        for name in weights.parameters
    )
    rate = trial.hit_rate()
    assert rate is not None
    # by chance 20 of 60 items
    assert rate > 0.8


def test_too_few_choices_say_nothing(log: Log) -> None:
    learner = make_learner()
    learner.fold_interactions(log.sessions(10))
    learner.begin_trial({0: log.offset})
    learner.fold_interactions(log.sessions(MIN_CHOICES // 5 - 1))
    trial = learner.end_trial()
    assert 0 < len(trial.choices) < MIN_CHOICES
    assert trial.hit_rate() is None


def test_a_restored_learner_drops_what_it_has_learned(log: Log) -> None:
    original = make_learner()
    records = log.sessions(20)
    original.fold_interactions(records)
    restored = make_learner()
    restored.restore(original.state())
    restored.fold_interactions(records)
    assert restored.training.n_interactions == original.training.n_interactions
    assert restored.newest == original.newest


@pytest.mark.parametrize(
    "state",
    [{}, {"training": {}, "watermarks": [], "newest": 0.0}, {"training": 3, "watermarks": [], "newest": 0}],
)
def test_a_state_that_does_not_fit_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError):
        make_learner().restore(state)


def test_weights_of_a_trainer_that_has_just_started_can_be_published(log: Log) -> None:
    original = make_learner()
    original.fold_interactions(log.sessions(20))
    restored = make_learner()
    restored.restore(original.state())
    restored.begin_trial({0: log.offset})
    trial = restored.end_trial()
    assert trial.loss is None, "no step was taken since the start"
    manifest = Manifest(version=2, created_at=0.0, offsets=trial.offsets, loss=trial.loss)
    assert decode_checkpoint(encode_checkpoint(trial.weights, manifest))[1] == manifest
    original.begin_trial({0: log.offset})
    assert original.end_trial().loss == original.loss
