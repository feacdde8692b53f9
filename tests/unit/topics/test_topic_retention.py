"""How long the topics keep records: what `headrace topics check` reports, and what keeps a worker from starting."""

import pytest

from topics.catalog import CLICKS, DAY_MS, ERASURES, INTERACTIONS, TopicSpec, catalog
from topics.topic_checks import Problem, ProblemKind, TopicState, problems


def found(spec: TopicSpec, **config: str) -> list[Problem]:
    names = {name.replace("_", "."): value for name, value in config.items()}
    return problems([TopicState(spec=spec, partitions=4, config={**spec.topic_config, **names})])


def test_topics_as_created_have_no_problem() -> None:
    states = [TopicState(spec=spec, partitions=4, config=spec.topic_config) for spec in catalog()]
    assert problems(states) == []


@pytest.mark.parametrize(
    ("spec", "config", "kind"),
    [
        (CLICKS, {"retention_ms": str(8 * DAY_MS)}, ProblemKind.RETENTION),
        (CLICKS, {"retention_ms": "-1"}, ProblemKind.RETENTION),
        (CLICKS, {"segment_ms": str(7 * DAY_MS)}, ProblemKind.SEGMENT_MS),
        (ERASURES, {"retention_ms": str(7 * DAY_MS)}, ProblemKind.RETENTION),
        (INTERACTIONS, {"max_compaction_lag_ms": str(2**63 - 1)}, ProblemKind.MAX_COMPACTION_LAG),
        (INTERACTIONS, {"delete_retention_ms": str(9 * DAY_MS)}, ProblemKind.DELETE_RETENTION),
        (INTERACTIONS, {"cleanup_policy": "delete"}, ProblemKind.CLEANUP_POLICY),
    ],
)
def test_topics_that_keep_records_for_another_time_are_reported_and_stop_no_worker(
    spec: TopicSpec, config: dict[str, str], kind: ProblemKind
) -> None:
    [problem] = found(spec, **config)
    assert (problem.kind, problem.is_blocking) == (kind, False)
    assert spec.name in problem.remedy


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (CLICKS, {"retention_ms": str(3 * DAY_MS)}),
        (ERASURES, {"retention_ms": "-1"}),
        (INTERACTIONS, {"retention_ms": str(400 * DAY_MS)}),
        (INTERACTIONS, {"cleanup_policy": "delete,compact"}),
    ],
)
def test_settings_with_which_nothing_stays_longer_are_no_problem(
    spec: TopicSpec, config: dict[str, str]
) -> None:
    assert found(spec, **config) == []


def test_compaction_without_retention_keeps_a_worker_from_starting() -> None:
    [problem] = found(INTERACTIONS, cleanup_policy="compact")
    assert problem.is_blocking


def test_the_settings_decide_how_long_events_are_kept() -> None:
    retention = {spec.name: spec.retention_ms for spec in catalog(event_days=3, erasure_days=30)}
    assert (retention["events.click"], retention["events.erasure"]) == (3 * DAY_MS, 30 * DAY_MS)
    assert retention["interactions"] == 90 * DAY_MS
