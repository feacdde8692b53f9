"""The demo on servers that the environment names: tried first, and its workers a group of their own there.

On its own servers the demo is alone. On somebody's broker a worker of the same application id would take a part
of the events, and the demo would wait for them in vain.
"""

import contextlib
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Final

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.lifecycle import check_redis
from topics.admin import create, delete, describe, list_names
from topics.broker_client import BrokerUnavailableError, TopicAdminError
from topics.catalog import SHOP_TOPICS, catalog, changelog
from topics.consumer_groups import delete_group, seek_group_to_end

_MAX_APP_ID_LENGTH: Final = 150
"""Characters kept of the application id, so that what is added leaves it one."""


def describe_servers(servers: EmbeddedServers) -> str:
    """The servers in words, before they are started or tried."""
    named = [f"HEADRACE_{name}" for name in ("BROKER", "REDIS") if getattr(servers, name.lower()) is None]
    if not named:
        return "Kafka broker and Redis, on free ports of this machine"
    other_servers = {1: ", the other on a free port of this machine", 2: ""}[len(named)]
    return (
        f"Kafka broker and Redis, as {' and '.join(named)} say{'s' if len(named) == 1 else ''}{other_servers}"
    )


def check_external_servers(servers: EmbeddedServers) -> None:
    """Make sure that servers which the environment names answer.

    Raises
    ------
    UserError
        If one does not.
    """
    if servers.broker is None:
        with broker_errors_as_user_errors():
            list_names(servers.broker_address)
    if servers.redis is None:
        check_redis(load_settings(redis=servers.redis_address))


def temporary_app_id(app_id: str) -> str:
    """An application id that no other worker has."""
    return f"{app_id[:_MAX_APP_ID_LENGTH]}-demo-{uuid.uuid4().hex[:8]}"


def create_missing_topics(app_id: str, broker: str, partitions: int) -> int:
    """Make the topics that are missing, with as many partitions as those have that are there.

    Parameters
    ----------
    app_id
        The demo's application id.
    broker
        Bootstrap servers.
    partitions
        Where none are there.

    Returns
    -------
    int
        Topics of the catalog.

    Raises
    ------
    UserError
        If the broker is away or refuses.
    """
    specs = catalog(app_id)
    with broker_errors_as_user_errors():
        partition_counts = Counter(
            state.partitions
            for state in describe(specs, broker)
            if state.spec.copartitioned and state.partitions
        )
        n_partitions = partition_counts.most_common(1)[0][0] if partition_counts else partitions
        create(specs, broker, partitions=n_partitions or partitions, replication=1)
    return len(specs)


def start_at_latest(app_id: str, broker: str) -> None:
    """Let the demo's workers begin where the shop's topics end: what is there is nothing the demo fed.

    Raises
    ------
    UserError
        If the broker is away or refuses.
    """
    with broker_errors_as_user_errors():
        seek_group_to_end(app_id, SHOP_TOPICS, broker)


def clean_up(app_id: str, broker: str) -> None:
    """Remove what only the demo's workers needed, as far as the broker lets us."""
    for delete_resource in (
        lambda: delete([changelog(app_id).name], broker),
        lambda: delete_group(app_id, broker),
    ):
        with contextlib.suppress(BrokerUnavailableError, TopicAdminError):
            delete_resource()


@contextlib.contextmanager
def broker_errors_as_user_errors() -> Iterator[None]:
    """Turn what the broker refuses into one sentence for people, and where to ask for more."""
    try:
        yield
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(f"{str(error).rstrip('.')}. `headrace doctor` says more.") from None
