"""Runs on external servers: a check of the servers, and a separate consumer group for the run's workers.

On an external broker, production workers may use the configured application id. In the same consumer group they would
consume a part of the events, and the run would never finish. So the workers of a run use a temporary application id.
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
from topics.kafka_connection import Broker

_MAX_APP_ID_LENGTH: Final = 150
"""Characters kept of the application id, so that the id stays valid with its suffix."""


def describe_servers(servers: EmbeddedServers) -> str:
    """Describe the servers before they are started or checked."""
    named = [f"HEADRACE_{name}" for name in ("BROKER", "REDIS") if getattr(servers, name.lower()) is None]
    if not named:
        return "Kafka broker and Redis, on free ports of this machine"
    other_servers = {1: ", the other on a free port of this machine", 2: ""}[len(named)]
    return f"Kafka broker and Redis, as set by {' and '.join(named)}{other_servers}"


def check_external_servers(servers: EmbeddedServers) -> None:
    """Check that external servers respond.

    Raises
    ------
    UserError
        If one does not respond.
    """
    if servers.broker is None:
        with broker_errors_as_user_errors():
            list_names(servers.broker_connection)
    if servers.redis is None:
        check_redis(load_settings(redis=servers.redis_address))


def temporary_app_id(app_id: str) -> str:
    """A unique application id."""
    return f"{app_id[:_MAX_APP_ID_LENGTH]}-demo-{uuid.uuid4().hex[:8]}"


def create_missing_topics(app_id: str, broker: Broker, partitions: int) -> int:
    """Create missing topics with the partition count of the existing ones; return the size of the catalog.

    Parameters
    ----------
    partitions
        Partition count if no copartitioned topic exists.

    Raises
    ------
    UserError
        If the broker is unavailable or refuses the request.
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


def start_at_latest(app_id: str, broker: Broker) -> None:
    """Set the workers' group to the latest offsets, so that they skip events from before the run.

    Raises
    ------
    UserError
        If the broker is unavailable or refuses the request.
    """
    with broker_errors_as_user_errors():
        seek_group_to_end(app_id, SHOP_TOPICS, broker)


def clean_up(app_id: str, broker: Broker) -> None:
    """Delete the changelog and the consumer group of the run; errors of the broker are ignored."""
    for delete_resource in (
        lambda: delete([changelog(app_id).name], broker),
        lambda: delete_group(app_id, broker),
    ):
        with contextlib.suppress(BrokerUnavailableError, TopicAdminError):
            delete_resource()


@contextlib.contextmanager
def broker_errors_as_user_errors() -> Iterator[None]:
    """Convert errors of the broker to a `UserError` that names the next step."""
    try:
        yield
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(f"{str(error).rstrip('.')}. Run `headrace doctor` for details.") from None
