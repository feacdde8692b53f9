"""All settings, one class per subject; each field has the sentence that ``headrace settings`` prints."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Final, Literal, LiteralString

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from state.attribution import DEFAULT_ATTRIBUTION_WINDOWS, DEFAULT_REWARD_WEIGHTS, AttributionRules
from state.retention import Retention
from stream_app.ranking.list_rules import ListRules, parse_floors
from topics.codec import Limits
from topics.records import RewardKind

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.001, allow_inf_nan=False)]
NonNegativeSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AppId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_HOST_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(\d{1,5})", re.ASCII)


class _SettingsGroup(BaseSettings):
    """Settings of one subject."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", extra="forbid", frozen=True)


class ConnectionSettings(_SettingsGroup):
    """Addresses, topics and the process."""

    app_id: AppId = Field(
        "headrace",
        description="Consumer group, and prefix of the changelog topic: letters, digits, `.`, `_`, `-`.",
    )
    broker: str = Field("localhost:9092", description="Kafka bootstrap servers, comma-separated host:port.")
    redis: str = Field("redis://localhost:6379/0", description="Redis URL.")
    data_dir: Path = Field(
        Path("build/worker"), description="Folder of the worker's table and snapshots; one a worker."
    )
    partitions: PositiveInt = Field(8, description="Partitions of the topics that `topics create` makes.")
    replication: PositiveInt = Field(1, description="Replication factor of the topics that it makes.")
    metrics_host: str = Field("127.0.0.1", description="Address that /metrics is served on.")
    metrics_port: Annotated[int, Field(ge=0, lt=65_536)] = Field(
        9108, description="Port of /metrics; 0 takes a free one."
    )
    log_level: LogLevel = Field("WARNING", description="Level of the worker's log.")

    @field_validator("broker")
    @classmethod
    def _check_broker(cls, text: str) -> str:
        """Refuse what is no address; white space around the commas goes."""
        servers = [server.strip() for server in text.split(",")]
        for server in servers:
            match = _HOST_PORT.fullmatch(server)
            if match is None or not 0 < int(match[1]) < 65_536:
                raise PydanticCustomError("broker", "{server} is not host:port", {"server": repr(server)})
        return ",".join(servers)


class EventSettings(_SettingsGroup):
    """Which events are accepted, and sessions."""

    max_event_age: NonNegativeSeconds = Field(
        30 * 86_400.0, description="Seconds; older events are dead letters. 0 takes events of any age."
    )
    max_event_future: NonNegativeSeconds = Field(
        300.0, description="Seconds an event may lie in the future of the broker's clock."
    )
    session_gap: Seconds = Field(1_800.0, description="Seconds of inactivity that close a session.")

    @property
    def limits(self) -> Limits:
        """The clock that events are held against."""
        return Limits(max_future=self.max_event_future, max_age=self.max_event_age)


class ModelSettings(_SettingsGroup):
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
        ],
        description="Models to run, a JSON list.",
    )
    model_parameters: dict[str, dict[str, int | float | str]] = Field(
        {},
        description="Hyper-parameters of single models, a JSON object such as "
        '`{"session_knn": {"repeat": 1.9}}`; `headrace tune` prints what to put here.',
    )
    fusion: Literal["learned", "weighted", "rrf", "borda"] = Field(
        "learned",
        description="How lists are made of the models' candidates: by a ranker that learns from choices, by a "
        "weighted sum with learned weights, by reciprocal ranks, by votes.",
    )
    max_items: PositiveInt = Field(200_000, description="Items that the models remember.")
    max_users: PositiveInt = Field(200_000, description="Shoppers whose sessions the models remember.")
    half_life: Seconds = Field(86_400.0, description="Seconds in which a count loses half its weight.")
    outlier_z: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        6.0,
        description="Standard deviations of log price or quantity beyond which an order line is not learned; "
        "0 learns all.",
    )
    seed: int = Field(7, description="Seed of everything that chance plays a part in.")


class ListSettings(_SettingsGroup):
    """Content of the lists."""

    list_length: PositiveInt = Field(20, description="Items on a published list.")
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Weight of dissimilarity against relevance on a list; 0 is off, 1 is dissimilarity alone.",
    )
    max_per_category: NonNegativeInt = Field(
        0, description="Most items of one category on a list; 0 is no cap."
    )
    max_per_brand: NonNegativeInt = Field(0, description="Most items of one brand on a list; 0 is no cap.")
    max_per_seller: NonNegativeInt = Field(0, description="Most items of one seller on a list; 0 is no cap.")
    exposure_floor: str = Field(
        "",
        description="Places of each list for chosen groups, such as "
        "`new:2,long_tail:1,brand:acme:1,seller:x:1,category:y:1`.",
    )
    buy_again: NonNegativeSeconds = Field(
        0.0,
        description="Seconds after its purchase when an item may be listed to the buyer again; 0 is never.",
    )
    candidates_per_source: PositiveInt = Field(100, description="Candidates asked of each model.")

    @field_validator("exposure_floor")
    @classmethod
    def _check_floor(cls, text: str, info: ValidationInfo) -> str:
        """Refuse what cannot be read, and more places than a list has."""
        try:
            places = sum(floor.min_items for floor in parse_floors(text))
        except ValueError as error:
            raise PydanticCustomError("exposure_floor", "{message}", {"message": _sentence(error)}) from None
        length = info.data.get("list_length", places)
        if places > length:
            raise PydanticCustomError(
                "exposure_floor",
                "Its {places} places are more than the {length} of a list",
                {"places": places, "length": length},
            )
        return text

    @property
    def list_rules(self) -> ListRules:
        """What lists keep to beside being good."""
        return ListRules(
            diversity=self.diversity,
            max_per_category=self.max_per_category,
            max_per_brand=self.max_per_brand,
            max_per_seller=self.max_per_seller,
            floors=parse_floors(self.exposure_floor),
        )


class PublishingSettings(_SettingsGroup):
    """Publication to Redis."""

    list_ttl: Seconds = Field(7 * 86_400.0, description="Seconds a list lives in Redis.")
    flush_users: PositiveInt = Field(128, description="Most shoppers published in one pipeline.")
    flush_linger: NonNegativeSeconds = Field(
        0.01, description="Seconds a dirty shopper waits for company before the flush."
    )
    degraded_ranking: bool = Field(
        True,
        description="While as many events wait as a flush takes shoppers, rank these by the sessions around them "
        "alone, for a third of the price, and again by everything when that is over.",
    )
    shared_list_interval: Seconds = Field(
        0.25, description="Seconds between two rounds of item and segment lists."
    )
    audit_lists: bool = Field(
        True,
        description="Write each shopper's list to the `lists` topic too; without it a worker that starts does not "
        "know the lists of before, and reactions to them are nobody's reward.",
    )
    max_pending: PositiveInt = Field(1_000_000, description="Shoppers waiting for Redis that are remembered.")


class RewardSettings(_SettingsGroup):
    """Attribution of reactions to lists, and the value of rewards."""

    reward_weights: dict[RewardKind, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        DEFAULT_REWARD_WEIGHTS,
        description="What a reaction to a list is worth, by its kind: a JSON object such as "
        '`{"click": 1, "purchase": 20}`; kinds left out keep their worth. Dislike and hide count below 0.',
    )
    reward_windows: dict[RewardKind, Seconds] = Field(
        DEFAULT_ATTRIBUTION_WINDOWS,
        description="Seconds after a list was published (or shown, by an impression event) in which a reaction is "
        "taken for one to it, by its kind: a JSON object; kinds left out keep theirs.",
    )
    reward_price_exponent: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="How much the price counts in what a purchase is worth: its weight times (price x quantity / "
        "unit) to this power. 0 counts every purchase alike, 1 counts revenue, 0.5 lies between.",
    )
    reward_price_unit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        50.0, description="The price x quantity at which a purchase is worth just its weight: a usual one."
    )
    retained_lists: PositiveInt = Field(
        100_000,
        description="Published lists that a worker remembers to match reactions with, some 0.6 kB each and 2 bytes "
        "a feature of an item; and of as many more the items that were reacted to, until they are bought.",
    )
    retained_lists_per_user: Annotated[int, Field(ge=2)] = Field(
        8,
        description="Of those, lists of one shopper without a reaction. Lists with one stay for the longest window "
        "of the steps after it, lists that were up just now until their reactions are in: four times as many in all.",
    )
    reward_require_list_id: bool = Field(
        False,
        description="Whether your pages name the list (`list_id`) in each reaction to it. Then a click without was "
        "on something found elsewhere, and is no reward though it stands on a list as well; a later step (cart, "
        "purchase, ...) without goes to the list on which the item was clicked.",
    )

    @field_validator("reward_weights")
    @classmethod
    def _check_weights(cls, values: dict[RewardKind, float]) -> dict[RewardKind, float]:
        """Fill in the kinds left out; refuse a reaction that counts the wrong way."""
        _refuse_erasure("reward_weights", values)
        for kind, weight in values.items():
            if kind is RewardKind.IMPRESSION and weight:
                raise PydanticCustomError(
                    "reward_weights", "An impression is no reaction and is worth nothing"
                )
            is_negative = kind in {RewardKind.DISLIKE, RewardKind.HIDE}
            if weight > 0 if is_negative else weight < 0:
                raise PydanticCustomError(
                    "reward_weights",
                    "A {kind} counts {way}",
                    {
                        "kind": str(kind),
                        "way": "against an item: 0 or less" if is_negative else "for it: 0 or more",
                    },
                )
        return {**DEFAULT_REWARD_WEIGHTS, **values}

    @field_validator("reward_windows")
    @classmethod
    def _check_windows(cls, values: dict[RewardKind, float]) -> dict[RewardKind, float]:
        """Fill in the kinds left out."""
        _refuse_erasure("reward_windows", values)
        return {**DEFAULT_ATTRIBUTION_WINDOWS, **values}

    @property
    def attribution_rules(self) -> AttributionRules:
        """What reactions are worth, and how long they count."""
        return AttributionRules(
            weights=self.reward_weights,
            windows=self.reward_windows,
            price_exponent=self.reward_price_exponent,
            price_unit=self.reward_price_unit,
            require_list_id=self.reward_require_list_id,
        )

    @property
    def list_retention(self) -> Retention:
        """Which lists of a shopper are remembered."""
        return Retention(self.retained_lists_per_user, self.attribution_rules.longest_post_click_window)


class PolicySettings(_SettingsGroup):
    """Policies, their comparison and the guardrail."""

    policies: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {"fixed": 1.0},
        description="How shoppers are split at first between policies that order their lists, by weights: a JSON "
        'object such as `{"thompson": 0.9, "fixed": 0.1}`. There are fixed (the fused order), popularity, thompson, '
        "linucb, epsilon_greedy, item_thompson, session_value. One with weight 0 learns and waits. "
        "`headrace policies` shows how they do and changes the split.",
    )
    policy_parameters: dict[str, dict[str, int | float | str]] = Field(
        {},
        description='Settings of single policies, a JSON object such as `{"thompson": {"exploration": 0.5}}`; '
        "docs/bandit.md lists them.",
    )
    guardrail_margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1,
        description="A policy whose reward per list is surely more than this share below the control's is put to "
        "rest; 1 switches the guard off.",
    )
    control_policy: str = Field(
        "fixed",
        description="The policy that the guard holds the others against, and that stays awake where all with a "
        "weight are put to rest: one of the policies.",
    )

    @field_validator("control_policy")
    @classmethod
    def _check_control(cls, name: str, info: ValidationInfo) -> str:
        """Refuse what is no policy, and one that is not run: a guard with nothing to go by would stand still."""
        policies, margin = info.data.get("policies", {}), info.data.get("guardrail_margin", 1.0)
        if name in policies:
            return name
        from stream_app.bandit.policy_registry import POLICIES  # noqa: PLC0415  # heavy

        if name not in POLICIES:
            raise PydanticCustomError(
                "control_policy",
                "There is no policy {name}; there are {policies}",
                {"name": repr(name), "policies": ", ".join(POLICIES)},
            )
        # what there is one of, or what nobody guards, is held against nothing
        if len(policies) > 1 and margin < 1:
            raise PydanticCustomError(
                "control_policy",
                "The guard holds policies against {name}, which HEADRACE_POLICIES does not run: set it to one of "
                "{policies}, give {name} a weight in HEADRACE_POLICIES, or switch the guard off by "
                "HEADRACE_GUARDRAIL_MARGIN=1",
                {"name": name, "policies": ", ".join(sorted(policies))},
            )
        return name


class RecoverySettings(_SettingsGroup):
    """Restart and recovery."""

    snapshot_interval: Seconds = Field(30.0, description="Seconds between two model snapshots.")
    max_snapshots: PositiveInt = Field(3, description="Snapshots kept in the model store.")
    producer_linger: NonNegativeSeconds = Field(
        0.02, description="Seconds that records to Kafka wait for company."
    )
    session_timeout: Annotated[float, Field(ge=6, le=60)] = Field(
        10.0, description="Seconds after which Kafka gives up a worker that is silent, and others take over."
    )
    republish_window: NonNegativeSeconds = Field(
        2 * 86_400.0,
        description="On assignment, shoppers active this many seconds before the newest are published again.",
    )


class Settings(
    # pydantic collects fields from the last base to the first: this is the order of `headrace settings`, reversed.
    RecoverySettings,
    PolicySettings,
    RewardSettings,
    PublishingSettings,
    ListSettings,
    ModelSettings,
    EventSettings,
    ConnectionSettings,
):
    """All settings; each field is read from the variable ``HEADRACE_`` + its name in capitals.

    Examples
    --------
    >>> Settings(list_length=10).list_length
    10
    """


def _refuse_erasure(name: LiteralString, values: Collection[RewardKind]) -> None:
    if RewardKind.ERASURE in values:
        raise PydanticCustomError(name, "An erasure is no reaction and has neither worth nor window")


def _sentence(error: ValueError) -> str:
    message = str(error)
    return message[:1].upper() + message[1:]
