"""Sources that bring nothing are paused, and come back when they bring something."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from stream_app.models.base import Candidates, Context, Model
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.config import ModelsConfig, RankingConfig
from stream_app.ranking.fusion import source_switch
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.source_switch import MIN_MEASURES, MIN_PROBES, SourceSwitch
from topics.records import Interaction, Kind, Line, Source

NAMES = ("popularity", "session_knn", "user_knn", "trending")


def switch_after(gains: Mapping[str, float], n: int = MIN_MEASURES + 1, **options: Any) -> SourceSwitch:
    switch = SourceSwitch(gains, **options)
    for _ in range(n):
        for name, gain in gains.items():
            switch.record(name, gain)
    return switch


def test_a_source_without_gain_is_paused_and_others_are_not() -> None:
    switch = switch_after({"useful": 0.01, "useless": 0.0, "harmful": -0.01})

    assert switch.paused == {"useless", "harmful"}


def test_nothing_is_paused_by_few_choices() -> None:
    assert not switch_after({"useless": 0.0}, MIN_MEASURES - 1).paused


def test_a_rare_and_large_gain_keeps_a_source() -> None:
    switch = SourceSwitch(["rare"])
    for number in range(5 * MIN_MEASURES):
        switch.record("rare", 0.0 if number % 100 else 0.4)

    assert switch.is_active("rare")


def test_a_paused_source_is_tried_alone_and_resumed_when_it_brings_something() -> None:
    switch = switch_after({"first": 0.0, "second": 0.0})

    probes = [switch.next_probe() for _ in range(200)]
    assert {probe: probes.count(probe) for probe in probes} == {"": 100, "first": 50, "second": 50}
    for _ in range(MIN_PROBES):
        switch.record("second", 0.01)
        switch.record("first", 0.0)
    assert switch.paused == {"first"}


def test_the_state_is_restored_and_new_sources_begin_in_use() -> None:
    saved = switch_after({"useful": 0.01, "useless": 0.0})
    restored = SourceSwitch(["useful", "useless", "new"])

    restored.restore(saved.state())

    assert restored.paused == {"useless"}
    gains, expected = restored.gains(), saved.gains()
    assert all(gains[name] == expected[name] for name in expected)
    assert gains["new"].active
    disabled = SourceSwitch(["useless"], enabled=False)
    disabled.restore(saved.state())
    assert not disabled.paused


def shop(switch_sources: bool) -> ModelSet:
    config = RankingConfig(
        models=ModelsConfig(names=NAMES, max_items=1_000, max_users=1_000),
        switch_sources=switch_sources,
        policies={"fixed": 1.0},
    )
    return make_models(config)


def feed(models: ModelSet, sessions: int, seed: int = 3) -> None:
    """Sessions of new users in which items follow each other: only similar sessions predict them."""
    rng = np.random.default_rng(seed)
    offset = models.version
    for session in range(sessions):
        start = int(rng.integers(200))
        for step in range(4):
            item, ts = f"i{(start + 7 * step) % 200}", 10.0 * offset
            interaction = Interaction(
                Source.CLICK, 0, offset, ts, f"{seed}-{session}", Kind.VIEW, (Line(item),)
            )
            models.learn(interaction)
            offset += 1


@pytest.fixture
def measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_switch, "MIN_MEASURES", 150)
    monkeypatch.setattr(source_switch, "SETTLING_CHOICES", 300)


def last_context(models: ModelSet) -> Context:
    return models.context("someone", ("i0", "i7"), (0.0, 1.0), 0, (), 10.0 * models.version)


@pytest.mark.usefixtures("measured_often")
def test_lists_do_not_ask_a_paused_source_and_stay_as_good() -> None:
    models, unswitched = shop(switch_sources=True), shop(switch_sources=False)
    for each in (models, unswitched):
        feed(each, 1_500)
    fusion = models.learner(LearnedFusion)
    assert fusion is not None
    assert "user_knn" in fusion.switch.paused

    asked: list[str] = []

    def watch(model: Model) -> None:
        propose = model.candidates

        def candidates(context: Context, k: int) -> Candidates:
            asked.append(model.name)
            return propose(context, k)

        model.candidates = candidates  # type: ignore[method-assign]

    for model in models.models:
        watch(model)
    config = RankingConfig(models=ModelsConfig(names=NAMES))
    lists = [make_ranker(each, config, 5).fuse(last_context(each), 5) for each in (models, unswitched)]

    assert "user_knn" not in asked
    expected = [each.index.find("i14") for each in (models, unswitched)]
    assert [fused.items[0] for fused in lists] == expected
    other = unswitched.learner(LearnedFusion)
    assert other is not None
    assert not other.switch.paused


@pytest.mark.usefixtures("measured_often")
def test_what_is_paused_survives_a_snapshot() -> None:
    models = shop(switch_sources=True)
    feed(models, 1_500)

    restored = shop(switch_sources=True)
    restored.restore(models.state())

    before, after = models.learner(LearnedFusion), restored.learner(LearnedFusion)
    assert before is not None
    assert after is not None
    assert after.switch.paused == before.switch.paused != frozenset()
    assert after.switch.gains() == before.switch.gains()
