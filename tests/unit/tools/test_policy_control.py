"""Metrics from rewards, with a list of records in place of Kafka."""

import msgspec
import pytest
from rich.console import Console

from stream_app.settings import Settings
from stream_app.tools import policy_control
from stream_app.tools.policy_control import PolicyControlClient
from topics.records import Reward, RewardKind, Source


def reward(offset: int, user: str, **others: object) -> Reward:
    made = Reward(
        source=Source.CLICK,
        partition=0,
        offset=offset,
        line=0,
        ts=100.0,
        user_id=user,
        list_id="l",
        policy="thompson",
        kind=RewardKind.CLICK,
        first_exposure=True,
    )
    return msgspec.structs.replace(made, **others)


def test_erased_user_stays_in_the_sums_only(monkeypatch: pytest.MonkeyPatch) -> None:
    erasure = reward(
        0, "ann", source=Source.ERASURE, kind=RewardKind.ERASURE, list_id="", policy="", first_exposure=False
    )
    rewards = [reward(0, "ann"), reward(1, "bob"), erasure, reward(1, "bob")]
    records = [(f"rewards[0]@{at}", msgspec.msgpack.encode(each)) for at, each in enumerate(rewards)]
    monkeypatch.setattr(policy_control, "raw_records", lambda *_: iter(records))
    found = PolicyControlClient(Settings()).comparison(50.0, Console(quiet=True))
    assert list(found.policies) == ["thompson"]
    assert (found.policies["thompson"].lists, found.policies["thompson"].users) == (2, 2)
    assert [user for user, _ in found.state()["users"]] == ["bob"]
