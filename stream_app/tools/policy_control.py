"""Reads what policies have come to from Kafka, and says how shoppers are to be split: what the command does."""

import contextlib
import math
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from rich.console import Console

from stream_app.bandit.policy_registry import POLICIES
from stream_app.errors import UserError
from stream_app.experiment.assignment import Shares
from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.control import Control, key_of, parse_word
from stream_app.kafka.broker_errors import broker_errors
from stream_app.settings import Settings
from stream_app.tools.evaluation.policies.topic_reader import raw_records, topic_records
from topics.catalog import CONTROL, REWARDS
from topics.records import Reward, RewardKind, Source


class PolicyLog:
    """The topics ``rewards`` and ``control`` of a broker.

    Parameters
    ----------
    settings
        The broker, and the control policy. How they split shoppers is not taken for what workers do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def said(self) -> Control:
        """What holds of what was said, by operators and by the guard."""
        said = Control()
        for record in topic_records(self.settings.broker, CONTROL):
            # what says nothing that holds is passed over, as workers do
            with contextlib.suppress(ValueError):
                said = said.heard(record.key, parse_word(record.value), record.timestamp / 1000.0)
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

    def say(self, said: Control, note: str, **changes: Any) -> None:
        """Say what the operator said, with changes, and wait until Kafka has it.

        What the guard rests is no part of it: it rests by the guard's own word until an operator trusts it. Nor are
        weights, before anybody has said some.

        Raises
        ------
        UserError
            If nobody would get a shopper, or Kafka does not take it.
        """
        word = msgspec.structs.replace(said.operator, ts=time.time(), by="operator", note=note, **changes)
        at_rest = said._replace(operator=word).resting
        # before anybody has said weights, workers may have given any policy one
        weights = word.weights or dict.fromkeys(POLICIES, 1.0)
        if not any(weight > 0 and name not in at_rest for name, weight in weights.items()):
            raise UserError(
                "Nobody would get a shopper: a policy with a weight must stay awake, and not rest by the guard "
                "either. `headrace policies` shows who rests; `headrace policies resume` brings one back."
            )
        word = said.dated(word)
        from kafka import KafkaProducer  # noqa: PLC0415  # heavy, and only this needs it

        with broker_errors(self.settings.broker):
            producer: Any = KafkaProducer(bootstrap_servers=self.settings.broker.split(","), acks="all")
            try:
                sent = producer.send(
                    CONTROL.name, key=key_of(word), value=msgspec.json.encode(word), partition=0
                )
                sent.get(timeout=20)
            finally:
                producer.close()

    def document(self, said: Control, comparison: Comparison) -> dict[str, Any]:
        """All figures as plain data.

        Bounds are null where there are too few shoppers for any; `since` is null where all that Kafka keeps counts;
        shares are null where nobody has said any weights.
        """
        names = sorted({*said.operator.weights, *said.resting, *comparison.policies})
        split = said.split(self.settings.control_policy)
        return {
            "said": msgspec.to_builtins(said.operator),
            "guard": {
                "resting": sorted(said.by_guard),
                "notes": [word.note for word in said.guard.values()],
            },
            "since": comparison.since or None,
            "policies": {
                name: {
                    "share": split.fraction(name) if split else None,
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
        require_known([name])
        if name in weights:
            raise UserError(f"{name} is given two weights.")
        weights[name] = weight
    try:
        Shares(weights)
    except ValueError as error:
        raise UserError(f"{error}.") from None
    return weights


def require_known(names: Iterable[str]) -> None:
    """Check names; which of the policies run is the workers' own matter.

    Raises
    ------
    UserError
        If there is no policy of one.
    """
    for name in names:
        if name not in POLICIES:
            raise UserError(f"There is no policy {name!r}; there are {', '.join(POLICIES)}.")


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
