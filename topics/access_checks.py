"""Asks the broker which rights this client has."""

from collections.abc import Iterable, Sequence
from typing import Final

from kafka import KafkaProducer
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from topics.access import Resource, Right, missing_topic_rights
from topics.broker_client import BOOTSTRAP_MS, broker_client, quiet_kafka_logger
from topics.client_arguments import client_arguments
from topics.kafka_connection import Broker
from topics.topic_checks import TopicState

_NO_MEMBER: Final = "headrace-doctor"
_DENIED: Final = "AuthorizationFailed"


def missing_rights(rights: Iterable[Right], states: Sequence[TopicState], broker: Broker) -> list[Right]:
    """The rights that the broker denies this client, in their order.

    Rights on topics are what the broker told of them; the others are tried by requests that change nothing: one that
    removes a member from a consumer group that it is not in, and one that begins the transactions of an id of its
    own, which ends after a week without use.

    Parameters
    ----------
    states
        The topics, as `topics.admin.describe` returns them.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    rights = list(rights)
    denied = set(missing_topic_rights(rights, states))
    for right in rights:
        if right.resource is Resource.GROUP and not _may_use_group(right, broker):
            denied.add(right)
        if right.resource is Resource.TRANSACTIONAL_ID and not _may_write_as(right, broker):
            denied.add(right)
    return [right for right in rights if right in denied]


def _may_use_group(right: Right, broker: Broker) -> bool:
    with broker_client(broker) as client:
        try:
            if right.operation == "READ":
                client.remove_group_members(right.name, [MemberToRemove(member_id=_NO_MEMBER)])
            else:
                client.describe_groups([right.name])
        except KafkaError as error:
            return _DENIED not in type(error).__name__
    return True


def _may_write_as(right: Right, broker: Broker) -> bool:
    name = f"{right.name}doctor" if right.is_prefix else right.name
    with quiet_kafka_logger():
        try:
            producer = KafkaProducer(
                **client_arguments(broker),
                transactional_id=name,
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                max_block_ms=BOOTSTRAP_MS * 4,
            )
        except KafkaError:
            return True
        try:
            producer.init_transactions()
        except KafkaError as error:
            return _DENIED not in type(error).__name__
        finally:
            producer.close(timeout=0)
    return True
