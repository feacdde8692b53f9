"""Settings of attribution and rewards."""

from collections.abc import Collection
from typing import Annotated, LiteralString

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from state.attribution import DEFAULT_ATTRIBUTION_WINDOWS, DEFAULT_REWARD_WEIGHTS, AttributionRules
from state.retention import Retention
from stream_app.settings.base import PositiveInt, Seconds, SettingsGroup
from topics.records import NEGATIVE, RewardKind


class RewardSettings(SettingsGroup):
    """Attribution of reactions to lists, and the value of rewards."""

    reward_weights: dict[RewardKind, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        DEFAULT_REWARD_WEIGHTS,
        description="Value of a reaction by kind, a JSON object such as "
        '`{"click": 1, "purchase": 20}`; omitted kinds keep their default. Dislike and hide are negative.',
    )
    reward_windows: dict[RewardKind, Seconds] = Field(
        DEFAULT_ATTRIBUTION_WINDOWS,
        description="Attribution window in seconds by reaction kind, from the publication of a list or its last "
        "impression: a JSON object; omitted kinds keep their default.",
    )
    reward_price_exponent: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="Exponent of the price in the value of a purchase: weight x (price x quantity / unit) to this "
        "power. 0 ignores the price, 1 is proportional to revenue.",
    )
    reward_price_unit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        50.0,
        description="Price x quantity at which the value of a purchase equals its weight: a typical one.",
    )
    retained_lists: PositiveInt = Field(
        100_000,
        description="Published lists that a worker retains for attribution, about 0.6 kB each plus 2 bytes per "
        "feature of an item; up to four times as many while events of their partitions wait to be processed, since "
        "these may react to them; and as many truncated lists, which hold only the items with a reaction.",
    )
    retained_lists_per_user: Annotated[int, Field(ge=2)] = Field(
        8,
        description="Retained lists of one user without a reaction. Lists with a reaction are retained for the "
        "longest window after a click, recently displayed lists for some seconds; at most four times as many in all.",
    )
    reward_require_list_id: bool = Field(
        False,
        description="Whether the shop's pages name the list (`list_id`) in each reaction to it. Then a click without "
        "`list_id` is unattributed even if its item is on a list; a later step (cart, purchase, ...) without "
        "`list_id` is attributed to the list on which the item was clicked.",
    )

    @field_validator("reward_weights")
    @classmethod
    def _check_weights(cls, values: dict[RewardKind, float]) -> dict[RewardKind, float]:
        """Add the defaults of omitted kinds; reject a weight with the wrong sign."""
        _refuse_erasure("reward_weights", values)
        for kind, weight in values.items():
            if kind is RewardKind.IMPRESSION and weight:
                raise PydanticCustomError(
                    "reward_weights", "An impression is not a reaction; its weight must be 0"
                )
            is_negative = kind in NEGATIVE
            if weight > 0 if is_negative else weight < 0:
                raise PydanticCustomError(
                    "reward_weights",
                    "The weight of {kind} must be {bound}",
                    {"kind": str(kind), "bound": "0 or less" if is_negative else "0 or more"},
                )
        return {**DEFAULT_REWARD_WEIGHTS, **values}

    @field_validator("reward_windows")
    @classmethod
    def _check_windows(cls, values: dict[RewardKind, float]) -> dict[RewardKind, float]:
        """Add the defaults of omitted kinds."""
        _refuse_erasure("reward_windows", values)
        return {**DEFAULT_ATTRIBUTION_WINDOWS, **values}

    @property
    def attribution_rules(self) -> AttributionRules:
        """Values and windows of reactions."""
        return AttributionRules(
            weights=self.reward_weights,
            windows=self.reward_windows,
            price_exponent=self.reward_price_exponent,
            price_unit=self.reward_price_unit,
            require_list_id=self.reward_require_list_id,
        )

    @property
    def list_retention(self) -> Retention:
        """The eviction rule for the lists of one user."""
        return Retention(self.retained_lists_per_user, self.attribution_rules.longest_post_click_window)


def _refuse_erasure(name: LiteralString, values: Collection[RewardKind]) -> None:
    if RewardKind.ERASURE in values:
        raise PydanticCustomError(name, "An erasure is not a reaction and has neither weight nor window")
