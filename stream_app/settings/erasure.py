"""Settings of retention and erasure."""

from pydantic import Field

from stream_app.settings.base import PositiveInt, Seconds, SettingsGroup
from topics.catalog import DEFAULT_ERASURE_RETENTION_DAYS, DEFAULT_EVENT_RETENTION_DAYS


class ErasureSettings(SettingsGroup):
    """How long Kafka keeps events, and when records of erased users are removed."""

    event_retention_days: PositiveInt = Field(
        DEFAULT_EVENT_RETENTION_DAYS,
        description="Days for which Kafka keeps the users' events: `topics create` sets it, `topics check` and "
        "`doctor` report a topic that keeps them longer. The events of an erased user stay for so long.",
    )
    erasure_retention_days: PositiveInt = Field(
        DEFAULT_ERASURE_RETENTION_DAYS,
        description="Days for which Kafka keeps the erasures: if no worker runs for longer, one may be lost.",
    )
    erasure_sweep_interval: Seconds = Field(
        86_400.0,
        description="Seconds after an erasure until a worker searches the logs for records of the user, once for all "
        "users erased until then.",
    )
    erasure_sweep_rate: PositiveInt = Field(
        10_000, description="Records per second that a worker reads at most in such a search."
    )
