"""The newest record of each key of a log, and the newest list of each user on the log of lists."""

from collections.abc import Iterable

from stream_app.client.redis_contract import decode_list, user_key
from tests.support.integration_environment import IntegrationEnvironment
from topics.catalog import INTERACTIONS, LISTS
from topics.log_keys import user_of
from topics.records import RecommendationList


def newest_by_key(environment: IntegrationEnvironment, topic: str) -> dict[bytes, bytes | None]:
    """The value of the newest record of each key; None of a tombstone."""
    return {record.key or b"": record.value for record in environment.read(topic)}


def last_interactions(environment: IntegrationEnvironment) -> dict[str, float]:
    """When the last interaction of each user was written, seconds since the epoch."""
    found: dict[str, float] = {}
    for record in environment.read(INTERACTIONS.name):
        user = user_of(record.key or b"").decode()
        found[user] = max(found.get(user, 0.0), record.timestamp)
    return found


def newest_logged_lists(
    environment: IntegrationEnvironment, users: Iterable[str]
) -> dict[str, RecommendationList | None]:
    """The newest list of each of these users on the log; None if the user was erased after it.

    Searches have lists of their own, which are left out.
    """
    wanted = {user.encode(): user for user in users}
    newest: dict[str, RecommendationList | None] = {}
    for record in environment.read(LISTS.name):
        user = wanted.get(user_of(record.key or b""))
        if user is None:
            continue
        if record.value is None:
            # The bare id: of an erasure. Other keys: the deletion of one list.
            newest |= {user: None} if record.key == user.encode() else {}
            continue
        found = decode_list(record.value)
        if found.key == user_key(user):
            newest[user] = found
    return newest


def assert_log_and_redis_agree(
    environment: IntegrationEnvironment, users: Iterable[str], erased: Iterable[str]
) -> None:
    """The newest list of each user on the log is the one in Redis, and no erased user has a list on the log."""
    users, erased = set(users), set(erased)
    logged = newest_logged_lists(environment, users | erased)
    published = environment.user_lists(users)
    assert published.keys() == users
    different = {
        user: (each.list_id, found and found.list_id)
        for user, each in published.items()
        if (found := logged.get(user)) is None or found.list_id != each.list_id
    }
    assert not different, f"in Redis and on the log: {different}"
    again = [user for user in erased if logged.get(user) is not None]
    assert not again, f"lists of erased users on the log: {again}"
