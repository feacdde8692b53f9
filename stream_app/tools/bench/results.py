"""Results of ``make bench``, as written to its report."""

import msgspec


class ConsumerRun(msgspec.Struct, frozen=True, kw_only=True):
    """One measured run of an agent; `user_lists` and the fields after it are of Headrace alone.

    Attributes
    ----------
    events
        Events processed between the first and the last reading of the clock.
    seconds, cpu_seconds
        Wall and CPU time for them.
    user_lists, degraded_lists
        Published user lists, and degraded ones among them.
    fresh_events
        Events whose list was acknowledged.
    stage_seconds
        Seconds by stage, see `stream_app.stage_metrics.WorkStage`.
    """

    variant: str
    events: int
    seconds: float
    cpu_seconds: float
    user_lists: float = 0.0
    degraded_lists: float = 0.0
    fresh_events: int = 0
    stage_seconds: dict[str, float] = {}


class RoundValues(msgspec.Struct, frozen=True):
    """Values of each round, in order, by agent or ratio."""

    events_per_second: dict[str, list[float]]
    ratios: dict[str, list[float]]


class ThroughputResults(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the rounds, and the values of each round.

    Attributes
    ----------
    events, users
        Events that each agent consumed, and their users.
    events_per_second, cpu_us_per_event
        Throughput and CPU time by agent.
    ratios
        Ratios of throughput, each computed within a round: c/a, c/b, d/b, e/b and f/d.
    stage_us_per_event
        Time by stage of c and d, by the worker's own timers; ``rest`` is their CPU time less that of all stages.
    neural_us_per_list
        CPU time of a list of f less that of d.
    lists_per_event, degraded_share
        Published user lists per event, and the degraded share of these lists, of Headrace.
    """

    events: int
    users: int
    events_per_second: dict[str, float]
    cpu_us_per_event: dict[str, float]
    ratios: dict[str, float]
    rounds: RoundValues
    stage_us_per_event: dict[str, dict[str, float]]
    neural_us_per_list: float
    lists_per_event: float
    degraded_share: float


class Percentiles(msgspec.Struct, frozen=True):
    """Median and 99th percentile in milliseconds."""

    p50: float
    p99: float


class FreshnessResults(msgspec.Struct, frozen=True, kw_only=True):
    """Freshness at a rate, and the latency of client reads under it.

    Attributes
    ----------
    target_rate, achieved_rate
        Events per second.
    freshness_ms
        Time from the event to its list in Redis.
    redis_read_ms
        Time of one client read.
    lists_read
        Reads that found a list.
    model_version
        Version of the two-tower model at the end; 0 without a trainer.
    """

    target_rate: float
    achieved_rate: float
    freshness_ms: Percentiles
    redis_read_ms: Percentiles
    lists_read: int
    model_version: int = 0


class LoadStep(msgspec.Struct, frozen=True, kw_only=True):
    """Events at a share of the capacity.

    Attributes
    ----------
    share, rate
        Share of the capacity, and the events per second that were sent.
    freshness_ms
        Time from each event to its list in Redis; above 10 s it is unknown, and 10 s here.
    backlog
        Events without an outcome when the last one was sent.
    catch_up_seconds
        Time from then until every event was processed and every list published.
    """

    share: float
    rate: float
    freshness_ms: Percentiles
    backlog: int
    catch_up_seconds: float


class LoadResults(msgspec.Struct, frozen=True, kw_only=True):
    """What a number of workers do under load.

    Attributes
    ----------
    catch_up_rate
        Events per second from a backlog until every list is published: the capacity.
    cpu_us_per_event
        CPU time of all workers per event of the backlog.
    steps
        Shares of the capacity, in order.
    """

    workers: int
    catch_up_rate: float
    cpu_us_per_event: float
    steps: list[LoadStep]


class FoldResults(msgspec.Struct, frozen=True):
    """CPU time per interaction in microseconds.

    Attributes
    ----------
    fold_us
        Of all models together.
    by_model
        Of index and sessions, and the increment of each model to it.
    """

    fold_us: float
    by_model: dict[str, float]


class Machine(msgspec.Struct, frozen=True):
    """Where the benchmark ran."""

    python: str
    cores: int


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``make bench`` measures; `load` and `freshness_with_trainer` only if they are asked for."""

    machine: Machine
    throughput: ThroughputResults
    freshness: FreshnessResults
    fold: FoldResults
    freshness_with_trainer: FreshnessResults | None = None
    load: list[LoadResults] = []
