"""The rights on Kafka that each program needs, for the broker's ACLs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from topics.catalog import (
    CATALOG_ITEMS,
    CONTROL,
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    IMPRESSIONS,
    INTERACTIONS,
    LISTS,
    MODELS,
    REWARDS,
    SHOP_TOPICS,
    USER_EVENTS,
    TopicSpec,
    changelog,
)
from topics.topic_checks import TopicState

_READ: Final = "READ"
_WRITE: Final = "WRITE"
_DESCRIBE: Final = "DESCRIBE"
_DESCRIBE_CONFIGS: Final = "DESCRIBE_CONFIGS"
_CREATE: Final = "CREATE"

_IMPLIED_BY: Final = {
    _DESCRIBE: frozenset({"READ", "WRITE", "DELETE", "ALTER"}),
    _DESCRIBE_CONFIGS: frozenset({"ALTER_CONFIGS"}),
}
"""Operations that grant another one, too."""


class Resource(StrEnum):
    """A kind of resource of Kafka, and its option of ``kafka-acls``."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Right(NamedTuple):
    """A right to do something with a resource.

    Examples
    --------
    >>> Right("WRITE", Resource.TRANSACTIONAL_ID, "headrace-", is_prefix=True).argument
    '--operation Write --transactional-id headrace- --resource-pattern-type prefixed'
    """

    operation: str
    resource: Resource
    name: str
    # Whether it is for all resources whose name begins so.
    is_prefix: bool = False

    @property
    def argument(self) -> str:
        """The arguments of ``kafka-acls --add --allow-principal User:NAME`` that grant it."""
        operation = self.operation.title().replace("_", "")
        pattern = " --resource-pattern-type prefixed" if self.is_prefix else ""
        return f"--operation {operation} --{self.resource} {self.name}{pattern}"


class Program(StrEnum):
    """A program that connects to Kafka."""

    WORKER = "worker"
    TRAINER = "trainer"
    WEB = "web"
    SHOP = "shop"
    OPERATOR = "operator"


def trainer_group(app_id: str) -> str:
    """The consumer group in which trainers elect the one that is active, and the id of its transactions."""
    return f"{app_id}-trainer"


def rights_of(program: Program, app_id: str) -> list[Right]:
    """The least rights with which all functions of a program work.

    Examples
    --------
    >>> [right.argument for right in rights_of(Program.WEB, "headrace")]
    ['--operation Write --topic events.impression']
    """
    return list(_RIGHTS[program](app_id))


def _topics(specs: Iterable[TopicSpec], *operations: str) -> Iterator[Right]:
    return (Right(operation, Resource.TOPIC, spec.name) for spec in specs for operation in operations)


def _worker(app_id: str) -> Iterator[Right]:
    # It writes events, too: those with a wrong key, to the partition of their user.
    yield from _topics(USER_EVENTS, _READ, _WRITE, _DESCRIBE_CONFIGS)
    yield from _topics((CATALOG_ITEMS, MODELS), _READ, _DESCRIBE_CONFIGS)
    written = INTERACTIONS, REWARDS, LISTS, CONTROL, DEAD_LETTERS, ERASURE_RECEIPTS, changelog(app_id)
    yield from _topics(written, _READ, _WRITE, _DESCRIBE_CONFIGS)
    yield Right(_READ, Resource.GROUP, app_id)
    yield Right(_WRITE, Resource.TRANSACTIONAL_ID, f"{app_id}-", is_prefix=True)


def _trainer(app_id: str) -> Iterator[Right]:
    yield from _topics((INTERACTIONS, CATALOG_ITEMS, ERASURE_RECEIPTS), _READ)
    yield from _topics((MODELS,), _READ, _WRITE)
    yield Right(_READ, Resource.GROUP, trainer_group(app_id))
    yield Right(_WRITE, Resource.TRANSACTIONAL_ID, trainer_group(app_id))


def _web(_: str) -> Iterator[Right]:
    yield from _topics((IMPRESSIONS,), _WRITE)


def _shop(_: str) -> Iterator[Right]:
    yield from _topics(SHOP_TOPICS, _WRITE)


def _operator(app_id: str) -> Iterator[Right]:
    own = INTERACTIONS, REWARDS, LISTS, CONTROL, MODELS, DEAD_LETTERS, ERASURE_RECEIPTS, changelog(app_id)
    yield from _topics(USER_EVENTS, _CREATE, _READ, _WRITE, _DESCRIBE_CONFIGS)
    yield from _topics((CATALOG_ITEMS,), _CREATE, _READ, _WRITE, _DESCRIBE_CONFIGS)
    yield from _topics(own, _CREATE, _READ, _DESCRIBE_CONFIGS)
    yield from _topics((CONTROL,), _WRITE)
    yield Right(_DESCRIBE, Resource.GROUP, app_id)


_RIGHTS: Final = {
    Program.WORKER: _worker,
    Program.TRAINER: _trainer,
    Program.WEB: _web,
    Program.SHOP: _shop,
    Program.OPERATOR: _operator,
}


def missing_topic_rights(rights: Iterable[Right], states: Sequence[TopicState]) -> list[Right]:
    """The rights on topics that the broker denies, as far as it tells.

    Parameters
    ----------
    states
        The topics on the broker. One that does not exist is not judged, except for the right to create it.
    """
    by_name = {state.spec.name: state for state in states}
    return [
        right
        for right in rights
        if right.resource is Resource.TOPIC and _is_missing(right, by_name.get(right.name))
    ]


def _is_missing(right: Right, state: TopicState | None) -> bool:
    if state is None:
        return False
    if state.is_denied:
        return right.operation != _CREATE
    return bool(state.operations) and not allows(state.operations, right.operation)


def allows(operations: Iterable[str], operation: str) -> bool:
    """Whether granted operations include one.

    Examples
    --------
    >>> allows({"READ"}, "DESCRIBE"), allows({"READ"}, "WRITE")
    (True, False)
    """
    granted = set(operations)
    return operation in granted or bool(granted & _IMPLIED_BY.get(operation, frozenset()))


def summary(rights: Sequence[Right]) -> Mapping[tuple[Resource, str], list[str]]:
    """The operations by resource, in order."""
    found: dict[tuple[Resource, str], list[str]] = {}
    for right in rights:
        found.setdefault((right.resource, right.name), []).append(right.operation)
    return found
