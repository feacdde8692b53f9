"""Reads what policies have come to from Kafka, and says how shoppers are to be split: what the command does."""

import math
import time
from typing import Any

import msgspec
from rich.console import Console

from stream_app.errors import UserError
from stream_app.evaluation.policies.topics import raw_records
from stream_app.ranker.live.comparison import Comparison, Figure
from stream_app.ranker.live.shares import Shares
from stream_app.settings import Settings
from topics.catalogue import CONTROL, REWARDS
from topics.records import GUARD, PolicyShares, Reward, RewardKind, Source, resting


class PolicyLog:
    """The topics ``rewards`` and ``control`` of a broker.

    Parameters
    ----------
    settings
        The broker, and the split that holds until something was said.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def shares(self) -> PolicyShares:
        """The split that holds now: what was said last, else what the settings say."""
        said = PolicyShares(weights=dict(self.settings.policies), note="settings")
        guard = PolicyShares(weights={}, by=GUARD)
        for _, value in raw_records(self.settings.broker, CONTROL):
            # what says nothing that holds is passed over, as workers do
            try:
                word = msgspec.json.decode(value, type=PolicyShares)
                if word.by != GUARD:
                    Shares(word.weights)
            except (msgspec.DecodeError, ValueError):
                continue
            if word.by == GUARD:
                guard = word
            else:
                said = word
        return msgspec.structs.replace(said, resting=tuple(sorted(resting(said, guard))))

    def comparison(self, since: float, console: Console) -> Comparison:
        """Fold the rewards since a time, each once.

        Parameters
        ----------
        since
            Seconds since the epoch.
        console
            Where progress is shown.
        """
        decoder = msgspec.msgpack.Decoder(Reward)
        comparison = Comparison(self.settings.max_users)
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
                elif reward.ts >= since:
                    comparison.hear_reward(reward)
        return comparison

    def known(self, said: PolicyShares, names: list[str]) -> None:
        """Check names.

        Raises
        ------
        UserError
            If a policy has no weight.
        """
        for name in names:
            if name not in said.weights:
                raise UserError(f"{name!r} is not among the policies: {', '.join(said.weights)}.")

    def say(self, said: PolicyShares, note: str, **changes: Any) -> None:
        """Say it, with changes, and wait until Kafka has it.

        Raises
        ------
        UserError
            If nobody would get a shopper, or Kafka does not take it.
        """
        word = msgspec.structs.replace(said, ts=time.time(), by="operator", note=note, **changes)
        try:
            Shares(word.weights, word.resting)
        except ValueError as error:
            raise UserError(f"{error}.") from None
        from kafka import KafkaProducer  # noqa: PLC0415  # heavy, and only this needs it
        from kafka.errors import KafkaError  # noqa: PLC0415

        try:
            producer: Any = KafkaProducer(bootstrap_servers=self.settings.broker.split(","), acks="all")
            try:
                sent = producer.send(
                    CONTROL.name, key=CONTROL.key.encode(), value=msgspec.json.encode(word), partition=0
                )
                sent.get(timeout=20)
            finally:
                producer.close()
        except KafkaError as error:
            raise UserError(f"The Kafka broker at {self.settings.broker} did not take it: {error}") from None

    def document(self, said: PolicyShares, comparison: Comparison) -> dict[str, Any]:
        """All figures as plain data; bounds are null where there are too few shoppers for any."""
        shares = Shares(said.weights, said.resting)
        names = sorted({*said.weights, *comparison.policies})
        return {
            "said": msgspec.to_builtins(said),
            "policies": {
                name: {
                    "share": shares.fraction(name),
                    "resting": name in said.resting,
                    **_figures(comparison, name),
                }
                for name in names
            },
        }


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
