"""All settings, one class per subject; each field has the sentence that ``headrace settings`` prints."""

from functools import cached_property
from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stream_app.errors import UserError
from stream_app.experiment.drift_config import DriftConfig, FastDecayConfig
from stream_app.models.plugins import FUSIONS as PLUGIN_FUSIONS
from stream_app.models.plugins import is_registered, registered_names
from stream_app.ranking.config import FUSIONS, ModelsConfig, RankingConfig
from stream_app.ranking.list_rules import ListRules, parse_floors
from stream_app.settings.base import (
    NonNegativeInt,
    NonNegativeSeconds,
    PositiveInt,
    Seconds,
    SettingsGroup,
)
from stream_app.settings.connection import ConnectionSettings
from stream_app.settings.erasure import ErasureSettings
from stream_app.settings.kafka import KafkaSettings, security_of
from stream_app.settings.memory import Capacities, MemorySettings, fit
from stream_app.settings.neural import NeuralSettings
from stream_app.settings.redis import RedisSettings
from stream_app.settings.rewards import RewardSettings
from topics.catalog import TopicSpec, catalog
from topics.codec import Limits
from topics.events import MAX_LIST_ITEMS
from topics.kafka_connection import KafkaConnection

TWO_TOWER: Final = "two_tower"
"""Name of the model that ``HEADRACE_NEURAL`` adds to the others."""


class EventSettings(SettingsGroup):
    """Accepted event times, and sessions."""

    max_event_age: NonNegativeSeconds = Field(
        30 * 86_400.0,
        description="Maximum age of an event in seconds; older ones are dead letters. 0 for no limit.",
    )
    max_event_future: NonNegativeSeconds = Field(
        300.0, description="Maximum seconds that an event may be ahead of the broker's timestamp."
    )
    session_gap: Seconds = Field(1_800.0, description="Seconds of inactivity that close a session.")

    @property
    def limits(self) -> Limits:
        """Bounds of event time."""
        return Limits(max_future=self.max_event_future, max_age=self.max_event_age)


class ModelSettings(SettingsGroup):
    """Models and their fusion."""

    models: Annotated[list[str], Field(min_length=1)] = Field(
        [
            "popularity",
            "item_to_item",
            "session_knn",
            "sequential_rules",
            "two_hop",
            "item_vectors",
            "content",
            "search",
            "trending",
        ],
        description="Models to run, a JSON list; `river:reco.BiasedMF` is one of River, and installed packages may "
        "register further names (docs/extending.md).",
    )
    neural: bool = Field(
        False,
        description="Whether the two-tower model runs, whose weights `headrace trainer` learns (docs/neural.md). "
        "Without a checkpoint of the trainer, lists are those of the other models.",
    )
    model_parameters: dict[str, dict[str, int | float | str]] = Field(
        {},
        description="Hyperparameters of single models, a JSON object such as "
        '`{"session_knn": {"repeat": 1.9}}`; `headrace tune` prints such an object.',
    )
    fusion: str = Field(
        "learned",
        description="Fusion of the models' candidates into a list: `learned`, a ranker that learns from choices; "
        "`weighted`, a sum with learned weights; `rrf`, reciprocal ranks; `borda`, Borda count; or one that an "
        "installed package registers as `headrace.fusions`.",
    )

    switch_sources: bool = Field(
        True,
        description="Whether the learned fusion pauses models that are measured to bring nothing to lists, and "
        "resumes them when they do (docs/operating.md).",
    )

    @field_validator("fusion")
    @classmethod
    def _check_fusion(cls, name: str) -> str:
        """Reject a fusion that neither Headrace nor an installed package has."""
        if name not in FUSIONS and not is_registered(PLUGIN_FUSIONS, name):
            known = ", ".join((*FUSIONS, *registered_names(PLUGIN_FUSIONS)))
            raise PydanticCustomError(
                "fusion", "There is no fusion {name}; there are {known}", {"name": repr(name), "known": known}
            )
        return name

    @property
    def model_names(self) -> list[str]:
        """The models that run."""
        return [*self.models, TWO_TOWER] if self.neural and TWO_TOWER not in self.models else self.models

    max_items: PositiveInt = Field(200_000, description="Maximum number of items in the models.")
    max_users: PositiveInt = Field(200_000, description="Maximum number of users in the models.")
    half_life: Seconds = Field(86_400.0, description="Seconds in which a count loses half its weight.")
    outlier_z: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        6.0,
        description="Standard deviations of log price or quantity beyond which an order line is an outlier and is "
        "not learned; 0 to learn all.",
    )
    seed: int = Field(7, description="Seed of all random generators.")


class ListSettings(SettingsGroup):
    """Content of the lists."""

    list_length: PositiveInt = Field(20, le=MAX_LIST_ITEMS, description="Items on a published list.")
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Weight of dissimilarity against relevance in a list; 0 is off, 1 ignores relevance.",
    )
    max_per_category: NonNegativeInt = Field(
        0, description="Maximum items of one category on a list; 0 for no limit."
    )
    max_per_brand: NonNegativeInt = Field(
        0, description="Maximum items of one brand on a list; 0 for no limit."
    )
    max_per_seller: NonNegativeInt = Field(
        0, description="Maximum items of one seller on a list; 0 for no limit."
    )
    exposure_floor: str = Field(
        "",
        description="Minimum number of items of chosen groups on each list, such as "
        "`new:2,long_tail:1,brand:acme:1,seller:x:1,category:y:1`.",
    )
    buy_again: NonNegativeSeconds = Field(
        0.0,
        description="Seconds after a purchase until the item may be recommended to the same user again; 0 for never.",
    )
    candidates_per_source: PositiveInt = Field(100, description="Number of candidates from each model.")

    @field_validator("exposure_floor")
    @classmethod
    def _check_floor(cls, text: str, info: ValidationInfo) -> str:
        """Reject an invalid floor, and floors that need more items than a list has."""
        try:
            n_items = sum(floor.min_items for floor in parse_floors(text))
        except ValueError as error:
            raise PydanticCustomError("exposure_floor", "{message}", {"message": _sentence(error)}) from None
        length = info.data.get("list_length", n_items)
        if n_items > length:
            raise PydanticCustomError(
                "exposure_floor",
                "It needs {n_items} items, but a list has {length}",
                {"n_items": n_items, "length": length},
            )
        return text

    @property
    def list_rules(self) -> ListRules:
        """The rules that lists satisfy besides relevance."""
        return ListRules(
            diversity=self.diversity,
            max_per_category=self.max_per_category,
            max_per_brand=self.max_per_brand,
            max_per_seller=self.max_per_seller,
            floors=parse_floors(self.exposure_floor),
        )


class PublishingSettings(SettingsGroup):
    """Publication to Redis."""

    list_ttl: Seconds = Field(7 * 86_400.0, description="Time to live of a list in Redis, in seconds.")
    flush_users: PositiveInt = Field(128, description="Maximum number of users per flush to Redis.")
    flush_linger: NonNegativeSeconds = Field(
        0.01, description="Seconds that a flush waits for more pending users."
    )
    degraded_ranking: bool = Field(
        True,
        description="Under overload (as many queued events as users per flush), rank by similar sessions alone, at a "
        "third of the cost; rank again with all models when the overload is over.",
    )
    shared_list_interval: Seconds = Field(
        0.25, description="Seconds between two refresh cycles of item and segment lists."
    )
    log_lists: bool = Field(
        True,
        description="Append each user's list to the topic `lists`, from which the next owner of a partition recovers "
        "it. Without it, reactions to lists from before a restart or a reassignment are unattributed.",
    )
    max_pending: PositiveInt = Field(1_000_000, description="Maximum number of users in the pending queue.")


class PolicySettings(SettingsGroup):
    """Policies, their comparison and the guardrail."""

    policies: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {"thompson": 0.9, "fixed": 0.1},
        description="Initial assignment of users to ranking policies by weight, a JSON "
        'object; `{"fixed": 1}` keeps the fused order. Policies: fixed (the fused order), popularity, thompson, '
        "linucb, epsilon_greedy, item_thompson, session_value, those of River (`river:bandit.UCB`), and those that "
        "installed packages register. A policy with weight 0 learns but has no users. "
        "`headrace policies` shows their metrics and changes the assignment.",
    )
    policy_parameters: dict[str, dict[str, int | float | str]] = Field(
        {},
        description='Parameters of single policies, a JSON object such as `{"thompson": {"exploration": 0.5}}`; '
        "docs/bandit.md lists them.",
    )
    guardrail_margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1,
        description="The guardrail pauses a policy whose reward per list is significantly more than this share below "
        "the control's; 1 disables the guardrail.",
    )
    control_policy: str = Field(
        "fixed",
        description="The policy that the guardrail compares the others with, and that gets all users if all policies "
        "with a weight are paused: one of the policies.",
    )

    drift_significance: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0005,
        description="Significance level at which ADWIN reports a change of the hit rate, of a policy's clicks per "
        "list or of prices; 0 watches nothing.",
    )
    drift_decay_rate: Annotated[float, Field(ge=1, le=1_000)] = Field(
        1.0,
        description="How many times shorter half-lives are after a sure fall of the hit rate or of clicks per list: "
        "4 for a quarter. 1 leaves them as they are.",
    )
    drift_decay_seconds: Seconds = Field(
        86_400.0, description="Seconds for which they are, before they return to their values."
    )

    @field_validator("control_policy")
    @classmethod
    def _check_control(cls, name: str, info: ValidationInfo) -> str:
        """Reject an unknown policy, and one that is not run: the guardrail would have no control metrics."""
        policies, margin = info.data.get("policies", {}), info.data.get("guardrail_margin", 1.0)
        if name in policies:
            return name
        from stream_app.bandit.policy_registry import require_policy  # noqa: PLC0415  # slow to import

        try:
            require_policy(name)
        except UserError as error:
            raise PydanticCustomError(
                "control_policy", "{message}", {"message": str(error).removesuffix(".")}
            ) from None
        # A single policy, or a disabled guardrail, needs no control.
        if len(policies) > 1 and margin < 1:
            raise PydanticCustomError(
                "control_policy",
                "The guardrail compares policies with {name}, which is not in HEADRACE_POLICIES: set it to one of "
                "{policies}, give {name} a weight in HEADRACE_POLICIES, or disable the guardrail by "
                "HEADRACE_GUARDRAIL_MARGIN=1",
                {"name": name, "policies": ", ".join(sorted(policies))},
            )
        return name


class RecoverySettings(SettingsGroup):
    """Restart and recovery."""

    snapshot_interval: Seconds = Field(30.0, description="Seconds between two model snapshots.")
    max_snapshots: PositiveInt = Field(
        3, description="Number of retained model snapshots of one configuration of the models."
    )
    model_store: str = Field(
        "",
        description="Folder or URL of the model snapshots, such as `s3://bucket/prefix` (extra `s3`), which workers "
        "may share; empty for `models` in the data folder.",
    )
    producer_linger: NonNegativeSeconds = Field(
        0.02, description="Seconds that a batch of records to Kafka waits for more."
    )
    session_timeout: Annotated[float, Field(ge=6, le=60)] = Field(
        10.0,
        description="Seconds without a heartbeat after which Kafka moves a worker's partitions to others.",
    )
    republish_window: NonNegativeSeconds = Field(
        2 * 86_400.0,
        description="After an assignment, the lists of users active in this many seconds before the newest event "
        "are published again.",
    )
    republish_rate: PositiveInt = Field(
        500,
        description="Users per second whose lists a worker publishes again when Redis lost them, or after "
        "`headrace republish`.",
    )


class Settings(
    # pydantic collects fields from the last base to the first: this is the order of `headrace settings`, reversed.
    ErasureSettings,
    NeuralSettings,
    MemorySettings,
    RecoverySettings,
    PolicySettings,
    RewardSettings,
    PublishingSettings,
    ListSettings,
    ModelSettings,
    EventSettings,
    RedisSettings,
    KafkaSettings,
    ConnectionSettings,
):
    """All settings; each field is read from the variable ``HEADRACE_`` + its name in capitals.

    Examples
    --------
    >>> Settings(list_length=10).list_length
    10
    """

    @cached_property
    def kafka(self) -> KafkaConnection:
        """The connection to Kafka.

        Raises
        ------
        SettingsError
            If its settings contradict each other, or a file of it cannot be used.
        """
        return KafkaConnection(servers=self.broker, security=security_of(self))

    @cached_property
    def capacities(self) -> Capacities:
        """What a worker keeps within its memory budget.

        Raises
        ------
        ValueError
            If next to nothing fits.
        """
        wanted = Capacities(self.max_items, self.max_users, self.retained_lists, self.max_pending)
        return fit(self.memory_budget, self.model_names, wanted)

    @property
    def drift_config(self) -> DriftConfig:
        """Configuration of the drift detectors."""
        return DriftConfig(significance=self.drift_significance)

    @property
    def fast_decay_config(self) -> FastDecayConfig:
        """Configuration of the decay after a drift."""
        return FastDecayConfig(rate=self.drift_decay_rate, length=self.drift_decay_seconds)

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """All topics, with their retention."""
        return catalog(self.app_id, self.event_retention_days, self.erasure_retention_days)

    @property
    def ranking_config(self) -> RankingConfig:
        """Configuration of models, fusion and lists."""
        return RankingConfig(
            models=ModelsConfig(
                names=self.model_names,
                parameters=self.model_parameters,
                max_items=self.capacities.max_items,
                max_users=self.capacities.max_users,
                half_life=self.half_life,
                session_gap=self.session_gap,
                outlier_z=self.outlier_z,
                seed=self.seed,
            ),
            fusion=self.fusion,
            switch_sources=self.switch_sources,
            candidates_per_source=self.candidates_per_source,
            list_length=self.list_length,
            list_rules=self.list_rules,
            policies=self.policies,
            policy_parameters=self.policy_parameters,
        )


def _sentence(error: ValueError) -> str:
    message = str(error)
    return message[:1].upper() + message[1:]
