"""The outcome of a run: lists, rows and interactions, and its comparison with another run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from state.row import EMPTY_ROW, UserRow
from state.snapshots.store import folder_store
from stream_app.client.redis_contract import popular_key
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.settings import load_settings
from stream_app.worker.model_loading import load_models
from tests.support.erased_users import keys_of_erased
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import FUSED_ORDER, IntegrationEnvironment
from tests.support.reward_log import RewardOutcome, learned_from_rewards, reward_outcome
from tests.support.worker_handle import WorkerHandle, wait_until
from topics.records import Interaction, RecommendationList

_decoder: Final = msgspec.msgpack.Decoder(Interaction)


class RunOutcome(NamedTuple):
    """The observable output of a run."""

    lists: dict[str, RecommendationList]
    popular: dict[str, RecommendationList]
    items: dict[str, RecommendationList]
    rows: dict[str, UserRow]
    interactions: dict[tuple[int, int, int], bytes]
    """By source, partition and offset, without duplicates (at or below the watermark)."""
    remainders: set[bytes]
    """Hashes of the erased users."""
    rewards: RewardOutcome
    """Empty unless reactions must name their list."""
    models: str = ""
    """Digest of the additive models; empty if they are not compared."""
    learned: dict[str, Any] = {}  # noqa: RUF012  # a default of a named tuple
    """What rewards and impressions have taught; empty if the models are not compared."""


SEGMENTS: Final = ("all", *(f"country:{c}" for c in ("FR", "DE", "JP", "BR")),
                   *(f"channel:{c}" for c in ("web", "app", "store")))  # fmt: skip


def wait_until_settled(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    log: GeneratedLog,
    *,
    number: int = 1,
    seconds: float = 180.0,
) -> WorkerHandle:
    """Wait until the log is processed, then restart the worker so that it ranks all users by the final models."""
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=seconds)
    version = log.n_accepted
    interactions = deduplicate(environment.interactions())
    found = len(interactions)
    assert found == version, f"{version - found} of {version} committed events have no interaction"

    # A search makes no popular list stale: the last of them may be processed after the last list was published.
    version -= n_trailing_searches(interactions)

    def popular_is_final() -> bool:
        found = environment.read_list(popular_key())
        return found is not None and found.model_version >= version

    worker.wait_until(popular_is_final, f"popular lists of {version} interactions", seconds=120)
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user", seconds=120)
    assert worker.terminate() == 0, worker.log
    again = environment.start_worker(number).wait_until_ready()
    again.wait_until(
        lambda: (
            # This gauge is set once all users are pending, together with the gauge of pending items.
            again.metric("headrace_table_users") >= len(log.users)
            and again.metric("headrace_lists_published_total", kind="user") >= len(log.users)
            and again.metric("headrace_pending_users") == 0
            and again.metric("headrace_pending_items") == 0
        ),
        f"the lists of {len(log.users)} users and of their items to be published again",
    )
    return again


def read_outcome(
    environment: IntegrationEnvironment, log: GeneratedLog, *, models_of: int | None = None
) -> RunOutcome:
    """Read the output of a settled run.

    Parameters
    ----------
    models_of
        Number of the worker whose newest snapshot has the models; None to leave them out.
    """
    wait_until(
        lambda: not environment.rows().keys() & log.erased and not keys_of_erased(environment, log.erased),
        "no row and no list of an erased user",
        seconds=120,
    )
    popular = {name: environment.read_list(popular_key(name)) for name in SEGMENTS}
    models = None if models_of is None else models_of_snapshot(environment, models_of)
    # Otherwise rewards depend on the moment at which each list is published.
    is_comparable = bool(environment.overrides.get("reward_require_list_id"))
    learned = learned_from_rewards(models) if models is not None and is_comparable else {}
    assert not [name for name in learned if name.partition(" of ")[2] in log.erased]
    return RunOutcome(
        environment.user_lists(log.users),
        {name: found for name, found in popular.items() if found is not None},
        environment.item_lists(),
        environment.rows(),
        _without_list_ids(deduplicate(environment.interactions())),
        set(environment.remainders()),
        reward_outcome(environment) if is_comparable else RewardOutcome({}, {}),
        "" if models is None else _digest(models),
        learned,
    )


def digest_of_models(environment: IntegrationEnvironment, number: int = 1) -> str:
    """The digest of the additive models in the newest snapshot of a worker."""
    return _digest(models_of_snapshot(environment, number))


def _digest(models: ModelSet) -> str:
    return f"{models.version} interactions, {models.digest()}"


def models_of_snapshot(environment: IntegrationEnvironment, number: int = 1) -> ModelSet:
    """The models in the newest snapshot of a worker."""
    settings = load_settings(
        models=msgspec.json.decode(str(environment.overrides["models"])),
        policies=environment.overrides.get("policies", FUSED_ORDER),
    )
    loaded = load_models(
        partial(make_models, settings.ranking_config),
        folder_store(environment.data_dir(number) / "models"),
    )
    assert loaded.positions, "the worker has no snapshot"
    return loaded.models


def _without_list_ids(
    interactions: Mapping[tuple[int, int, int], bytes],
) -> dict[tuple[int, int, int], bytes]:
    """The interactions, without the ids of the lists that users reacted to: those of two runs differ."""
    return {
        record_id: raw
        if not (interaction := _decoder.decode(raw)).list_id
        else msgspec.msgpack.encode(structs.replace(interaction, list_id="named"))
        for record_id, raw in interactions.items()
    }


def deduplicate(interactions: Iterable[tuple[Interaction, bytes]]) -> dict[tuple[int, int, int], bytes]:
    """The interactions that a replica folds, without those at or below its watermark.

    Checks that each duplicate has the same bytes as the first record.
    """
    watermarks: dict[tuple[int, int], int] = {}
    kept: dict[tuple[int, int, int], bytes] = {}
    for interaction, raw in interactions:
        source = (int(interaction.source), interaction.partition)
        record_id = (*source, interaction.offset)
        if interaction.offset <= watermarks.get(source, -1):
            assert record_id in kept, f"{interaction} is new, but follows a later one of its partition"
            assert raw == kept[record_id], f"{interaction} is a duplicate with different bytes"
            continue
        watermarks[source] = interaction.offset
        kept[record_id] = raw
    return kept


def n_trailing_searches(interactions: Mapping[tuple[int, int, int], bytes]) -> int:
    """An upper bound of the interactions without items that a worker processed after the last one with items.

    The partitions of one topic are processed in an unknown order, and each of them in its own.
    """
    trailing = Counter[int]()
    for (_, partition, _), raw in interactions.items():
        trailing[partition] = 0 if _decoder.decode(raw).lines else trailing[partition] + 1
    return trailing.total()


def assert_same_outcome(found: RunOutcome, wanted: RunOutcome) -> None:
    """Compare a run with a reference run of the same log; the failure lists all differences."""
    messages = _differences("interactions", found.interactions, wanted.interactions)
    if found.models and wanted.models and found.models != wanted.models:
        messages.append(f"models: {found.models}, not {wanted.models}")
    if found.models and wanted.models:
        messages += _differences("learned from rewards", found.learned, wanted.learned)
    if found.remainders != wanted.remainders:
        messages.append(f"erased users: {len(found.remainders)}, not {len(wanted.remainders)}")
    messages += _differences("rewards", found.rewards.rewards, wanted.rewards.rewards)
    messages += _differences("displayed items", found.rewards.positions_seen, wanted.rewards.positions_seen)
    for field_name in _comparable_row(EMPTY_ROW):
        messages += _differences(
            f"rows, {field_name}",
            {user: _comparable_row(row)[field_name] for user, row in found.rows.items()},
            {user: _comparable_row(row)[field_name] for user, row in wanted.rows.items()},
        )
    messages += _differences(
        "interactions behind the lists",
        {user: each.model_version for user, each in found.lists.items()},
        {user: each.model_version for user, each in wanted.lists.items()},
    )
    messages += _list_differences("lists", found.lists, wanted.lists)
    messages += _list_differences("popular lists", found.popular, wanted.popular)
    messages += _list_differences("lists of items", found.items, wanted.items)
    assert not messages, "\n".join(messages)


def _list_differences(
    description: str, found: Mapping[str, RecommendationList], wanted: Mapping[str, RecommendationList]
) -> list[str]:
    messages = _differences(
        f"{description}, items in order and reasons",
        {key: _items_and_reasons(each) for key, each in found.items()},
        {key: _items_and_reasons(each) for key, each in wanted.items()},
    )
    score_mismatches = [
        key
        for key in found.keys() & wanted.keys()
        if [item.id for item in found[key].items] == [item.id for item in wanted[key].items]
        and not np.allclose(_scores(found[key]), _scores(wanted[key]), rtol=0, atol=1e-6)
    ]
    return messages + (
        [f"{description}, scores: {len(score_mismatches)} differ, {sorted(score_mismatches)[:5]} among them"]
        if score_mismatches
        else []
    )


def _comparable_row(row: UserRow) -> dict[str, object]:
    return {
        "counts": row.counts,
        "recent": row.recent,
        "bought": dict(sorted(row.bought.items())),
        "session": row.session,
        "queries": row.queries,
        "first and last": (row.first_ts, row.last_ts),
        "watermarks": row.watermarks,
        "times": row.times,
        "segments": row.segments,
        "liked": dict(sorted(row.liked.items())),
        "hidden": dict(sorted(row.hidden.items())),
        "erasures": (row.erasure, row.erased_until),
    }


def _items_and_reasons(found: RecommendationList) -> list[tuple[str, object]]:
    return [(item.id, item.why) for item in found.items]


def _scores(found: RecommendationList) -> list[float]:
    return [item.score for item in found.items]


def _differences(description: str, found: Mapping[Any, object], wanted: Mapping[Any, object]) -> list[str]:
    missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    messages = [
        f"{description}: {len(keys)} {difference_kind}, {sorted(keys)[:5]} among them"
        for difference_kind, keys in (("missing", missing), ("extra", extra))
        if keys
    ]
    differ = sorted(key for key in wanted.keys() & found.keys() if found[key] != wanted[key])
    if differ:
        key = differ[0]
        messages.append(
            f"{description}: {len(differ)} of {len(wanted)} differ, {differ[:5]} among them; {key}:\n"
            f"      is {found[key]}\n     not {wanted[key]}"
        )
    return messages
