"""The composition root: settings and ports in, the wired components of a worker out.

The worker (`stream_app.worker.app`) calls it with Kafka, Redis and the disk, the tests with ports in memory and
without a Faust application.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from state.checkpoint_store import CheckpointStore
from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from state.snapshots.files import StoreUnavailableError
from state.snapshots.model_store import ModelStore
from state.user_rows import UserRowStore
from stream_app.errors import UserError
from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.kafka.append import RecordAppender
from stream_app.kafka.event_logs import TopicIncarnations, bases
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.models.resident import process_bytes
from stream_app.models.two_tower import TwoTower
from stream_app.publishing.clocks import Clocks
from stream_app.publishing.degraded_ranking import DegradedRanking
from stream_app.publishing.drift_watch import DriftWatch
from stream_app.publishing.flush_loop import FlushLoop
from stream_app.publishing.list_builder import ListBuilder
from stream_app.publishing.list_log import ListLog
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.publishing.publisher import Publisher
from stream_app.publishing.telemetry import FlushTelemetry
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.settings import Settings
from stream_app.worker.agents.catalog import CatalogEventHandler
from stream_app.worker.agents.users import ForwardedEvents, UserEventHandler
from stream_app.worker.checkpoint_follower import CheckpointFollower
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.decay_controller import DecayController
from stream_app.worker.event_processor import EventProcessor
from stream_app.worker.list_recovery import ListRecovery
from stream_app.worker.model_loading import load_models
from stream_app.worker.model_stores import make_checkpoint_store
from stream_app.worker.policy_controller import PolicyController
from stream_app.worker.replica import Replica
from stream_app.worker.reward_attributor import RewardAttributor


class Ports(NamedTuple):
    """The adapters of a worker.

    Attributes
    ----------
    clock
        Seconds since the epoch.
    timer
        Seconds, monotonic.
    partition_of
        The partition that a user's events belong to; None to accept events in every partition.
    incarnations
        Ids of the topics, and what is added to offsets.
    checkpoint_store
        Where a trainer writes; None for the store of the settings.
    forwarded
        Finds events that were forwarded again; None finds none.
    """

    rows: UserRowStore
    append: RecordAppender
    publisher: Publisher
    model_store: ModelStore
    metrics: Metrics
    clock: Callable[[], float] = time.time
    partition_of: Callable[[str], int] | None = None
    incarnations: TopicIncarnations = TopicIncarnations()
    timer: Callable[[], float] = time.monotonic
    checkpoint_store: CheckpointStore | None = None
    forwarded: ForwardedEvents | None = None


class Components(NamedTuple):
    """The components of one worker, wired.

    `checkpoints` is None where no two-tower model runs; `process_bytes` is the memory of the process before the
    components were built.
    """

    models: ModelSet
    list_store: PublishedListStore
    log_progress: LogProgress
    prequential: PrequentialEvaluator
    queue: PendingQueue
    flush_loop: FlushLoop
    replica: Replica
    list_recovery: ListRecovery
    rewards: RewardAttributor
    policies: PolicyController
    drift: DriftWatch
    decay: DecayController
    user_events: UserEventHandler
    catalog_events: CatalogEventHandler
    checkpoints: CheckpointFollower | None
    process_bytes: int


def build_components(settings: Settings, ports: Ports) -> Components:
    """Wire the components of a worker.

    Raises
    ------
    UserError
        If the store of the model snapshots cannot be read.
    """
    memory = process_bytes()
    metrics, append = ports.metrics, ports.append
    topic_ids = ports.incarnations.topic_ids
    try:
        loaded = load_models(partial(make_models, settings.ranking_config), ports.model_store, topic_ids)
    except StoreUnavailableError as error:
        # Without its snapshot the worker would start with empty models, and write them as the newest.
        raise UserError(f"The model snapshots cannot be read: {error}. Check HEADRACE_MODEL_STORE.") from None
    models = loaded.models
    list_store = PublishedListStore(settings.capacities.retained_lists, settings.list_retention)
    log_progress = LogProgress()
    drift = DriftWatch(metrics, settings.drift_config, models.outliers.is_outlier)
    prequential = PrequentialEvaluator(metrics, list_store, drift)
    list_log = ListLog(
        list_store,
        append,
        log_progress,
        ports.rows.partition_of,
        enabled=settings.log_lists,
        stage_times=metrics.stage_times,
    )
    flush_loop = build_flush_loop(settings, ports, models, prequential, list_log)
    replica = Replica(
        models,
        loaded.positions,
        ports.model_store,
        metrics,
        broker=settings.kafka,
        limits=settings.limits,
        on_stale=flush_loop.queue.invalidate,
        on_withdrawn=flush_loop.queue.withdraw_queries,
        clock=ports.clock,
        relearning=loaded.relearning,
    )
    flush_loop.on_load = replica.set_overloaded
    replica.topic_ids, replica.fingerprint = topic_ids, loaded.fingerprint
    rules = settings.attribution_rules
    rewards = RewardAttributor(list_store, log_progress, replica, append, metrics, rules, drift)
    processor = EventProcessor(
        ports.rows,
        replica,
        flush_loop,
        prequential,
        rewards,
        append,
        metrics,
        settings.session_gap,
        metrics.stage_times,
    )
    policies = _build_policies(settings, ports, models)
    decay = DecayController(models, append, metrics, settings.fast_decay_config)
    policies.on_decay, drift.on_loss = decay.apply_record, decay.on_loss
    dead_letters = DeadLetterWriter(append, metrics, ports.clock)
    ports.rows.on_unreadable = dead_letters.write_row
    return Components(
        models=models,
        list_store=list_store,
        log_progress=log_progress,
        prequential=prequential,
        queue=flush_loop.queue,
        flush_loop=flush_loop,
        replica=replica,
        list_recovery=ListRecovery(
            list_store,
            log_progress,
            broker=settings.kafka,
            limit=settings.capacities.retained_lists,
            window=rules.longest_window,
        ),
        rewards=rewards,
        policies=policies,
        drift=drift,
        decay=decay,
        user_events=UserEventHandler(
            processor,
            dead_letters,
            metrics,
            settings.limits,
            ports.partition_of,
            bases(ports.incarnations.event_logs),
            ports.forwarded,
            metrics.stage_times,
        ),
        catalog_events=CatalogEventHandler(dead_letters, metrics, settings.limits),
        checkpoints=_build_checkpoints(settings, ports, replica),
        process_bytes=memory,
    )


def build_flush_loop(
    settings: Settings,
    ports: Ports,
    models: ModelSet,
    prequential: PrequentialEvaluator,
    list_log: ListLog,
) -> FlushLoop:
    """Wire the flush loop and its parts."""
    clocks = Clocks(ports.clock, ports.timer)
    return FlushLoop(
        PendingQueue(
            flush_users=settings.flush_users,
            max_pending=settings.capacities.max_pending,
            shared_list_interval=settings.shared_list_interval,
        ),
        ListBuilder(
            make_ranker(models, settings.ranking_config), ports.rows, ports.metrics, settings.buy_again
        ),
        DegradedRanking(
            enabled=settings.degraded_ranking,
            flush_users=settings.flush_users,
            max_pending=settings.capacities.max_pending,
        ),
        list_log,
        ports.publisher,
        FlushTelemetry(ports.metrics, prequential, models, clocks),
        settings.flush_linger,
        clocks,
    )


def _build_checkpoints(settings: Settings, ports: Ports, replica: Replica) -> CheckpointFollower | None:
    model = next((each for each in replica.models.models if isinstance(each, TwoTower)), None)
    if model is None:
        return None
    return CheckpointFollower(
        model,
        ports.checkpoint_store or make_checkpoint_store(settings),
        replica,
        ports.metrics.neural,
        broker=settings.kafka,
        clock=ports.clock,
    )


def _build_policies(settings: Settings, ports: Ports, models: ModelSet) -> PolicyController:
    live, comparison = models.learner(LivePolicies), models.learner(PolicyComparison)
    if live is None or comparison is None:
        raise RuntimeError("the model set has no policies or no comparison: build it with make_models")
    return PolicyController(
        live,
        comparison,
        ports.metrics,
        ports.append,
        control=settings.control_policy,
        margin=settings.guardrail_margin,
        broker=settings.kafka,
    )
