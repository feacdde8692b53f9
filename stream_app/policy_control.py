"""Reads what policies have come to from Kafka, and says how shoppers are to be split: what the command does."""

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from stream_app.broker_errors import broker_errors
from stream_app.errors import UserError
from stream_app.evaluation.policies.topics import raw_records
from stream_app.ranker.bandit.registry import POLICIES
from stream_app.ranker.live.comparison import Comparison, Figure
from stream_app.ranker.live.shares import Shares
from stream_app.settings import Settings
from topics.catalogue import CONTROL, REWARDS
from topics.records import GUARD, PolicyShares, Reward, RewardKind, Source, resting


class Said(NamedTuple):
    """What holds of the ``control`` topic.

    Attributes
    ----------
    operator
        What an operator said last, else what the settings say.
    guard
        What the guard said last.
    since
        When the split last changed, seconds since the epoch; 0 where nobody ever said anything.
    """

    operator: PolicyShares
    guard: PolicyShares
    since: float = 0.0

    @property
    def resting(self) -> frozenset[str]:
        """The policies at rest by either's word."""
        return resting(self.operator, self.guard)

    @property
    def split(self) -> Shares:
        """How shoppers are split."""
        return Shares(self.operator.weights, self.resting)


class PolicyLog:
    """The topics ``rewards`` and ``control`` of a broker.

    Parameters
    ----------
    settings
        The broker, and the split that holds until something was said.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def said(self) -> Said:
        """What was said last, by an operator and by the guard."""
        said = Said(
            PolicyShares(weights=dict(self.settings.policies), note="settings"),
            PolicyShares(weights={}, by=GUARD),
        )
        first = True
        for _, value in raw_records(self.settings.broker, CONTROL):
            # what says nothing that holds is passed over, as workers do
            try:
                word = msgspec.json.decode(value, type=PolicyShares)
                if word.by != GUARD:
                    Shares(word.weights)
            except (msgspec.DecodeError, ValueError):
                continue
            now = said._replace(guard=word) if word.by == GUARD else said._replace(operator=word)
            # as workers do, which do not know what an operator's first word changed either
            unknown = first and word.by != GUARD
            if unknown or not now.split.same_split(said.split):
                now = now._replace(since=max(said.since, min(word.ts, time.time())))
            said, first = now, first and word.by == GUARD
        return said

    def comparison(self, since: float, console: Console) -> Comparison:
        """Fold the rewards of the lists published since a time, each once.

        Parameters
        ----------
        since
            Seconds since the epoch; 0 takes all that Kafka keeps.
        console
            Where progress is shown.
        """
        decoder = msgspec.msgpack.Decoder(Reward)
        comparison = Comparison(self.settings.max_users)
        comparison.begin(since)
        watermarks: dict[tuple[Source, int], tuple[int, int]] = {}
        with console.status("reading rewards") as status:
            for number, (_, value) in enumerate(raw_records(self.settings.broker, REWARDS), 1):
                if number % 5_000 == 0:
                    status.update(f"reading rewards: {number:,} so far")
                try:
                    reward = decoder.decode(value)
                except msgspec.DecodeError:
                    continue  # of no version that this one knows
                place, line = (reward.source, reward.partition), (reward.offset, reward.line)
                # what was sent again after a crash
                if line <= watermarks.get(place, (-1, -1)):
                    continue
                watermarks[place] = line
                if reward.kind is RewardKind.ERASURE:
                    comparison.forget_user(reward.user_id)
                else:
                    comparison.hear_reward(reward)
        return comparison

    def say(self, said: Said, note: str, **changes: Any) -> None:
        """Say what the operator said, with changes, and wait until Kafka has it.

        What the guard rests is no part of it: it rests by the guard's own word until an operator trusts it.

        Raises
        ------
        UserError
            If nobody would get a shopper, or Kafka does not take it.
        """
        word = msgspec.structs.replace(said.operator, ts=time.time(), by="operator", note=note, **changes)
        at_rest = resting(word, said.guard)
        if not any(weight > 0 and name not in at_rest for name, weight in word.weights.items()):
            raise UserError(
                "Nobody would get a shopper: a policy with a weight must stay awake, and not rest by the guard "
                "either. `headrace policies` shows who rests; `headrace policies resume` brings one back."
            )
        try:
            Shares(word.weights, word.resting)
        except ValueError as error:
            raise UserError(f"{error}.") from None
        from kafka import KafkaProducer  # noqa: PLC0415  # heavy, and only this needs it

        with broker_errors(self.settings.broker):
            producer: Any = KafkaProducer(bootstrap_servers=self.settings.broker.split(","), acks="all")
            try:
                sent = producer.send(
                    CONTROL.name, key=CONTROL.key.encode(), value=msgspec.json.encode(word), partition=0
                )
                sent.get(timeout=20)
            finally:
                producer.close()

    def document(self, said: Said, comparison: Comparison) -> dict[str, Any]:
        """All figures as plain data.

        Bounds are null where there are too few shoppers for any; `since` is null where all that Kafka keeps counts.
        """
        names = sorted({*said.operator.weights, *comparison.policies})
        return {
            "said": msgspec.to_builtins(said.operator),
            "guard": msgspec.to_builtins(said.guard),
            "since": comparison.since or None,
            "policies": {
                name: {
                    "share": said.split.fraction(name),
                    "resting": name in said.resting,
                    **_figures(comparison, name),
                }
                for name in names
            },
        }


def parse_weights(words: Iterable[str]) -> dict[str, float]:
    """Weights by policy, as they are given on the command line.

    Raises
    ------
    UserError
        With what is wrong with one.

    Examples
    --------
    >>> parse_weights(["thompson=0.9", "fixed=0.1"])
    {'thompson': 0.9, 'fixed': 0.1}
    """
    weights: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        try:
            weight = float(number)
        except ValueError:
            raise UserError(f"{word!r} is no POLICY=WEIGHT, such as thompson=0.9.") from None
        if name not in POLICIES:
            raise UserError(f"There is no policy {name!r}; there are {', '.join(POLICIES)}.")
        if name in weights:
            raise UserError(f"{name} is given two weights.")
        weights[name] = weight
    try:
        Shares(weights)
    except ValueError as error:
        raise UserError(f"{error}.") from None
    return weights


def require_known(said: Said, names: Iterable[str]) -> None:
    """Check names.

    Raises
    ------
    UserError
        If a policy has no weight.
    """
    weights = said.operator.weights
    for name in names:
        if name not in weights:
            raise UserError(f"{name!r} is not among the policies: {', '.join(weights)}.")


def _figures(comparison: Comparison, name: str) -> dict[str, Any]:
    held = comparison.policies.get(name)
    if held is None:
        return {"shoppers": 0, "lists_seen": 0}
    return {
        "shoppers": held.shoppers,
        "lists_seen": int(held.lists),
        **{
            f"{figure.name.lower()}_per_list": {
                bound: value if math.isfinite(value) else None
                for bound, value in held.interval(figure)._asdict().items()
            }
            for figure in Figure
        },
    }
