"""The rights on Kafka without which a program does not start."""

from collections.abc import Sequence
from typing import Final

from stream_app.errors import UserError
from topics.access import Program, Right, rights_of
from topics.access_checks import missing_rights
from topics.kafka_connection import Broker, connection_of
from topics.topic_checks import TopicState

_NAMED: Final = 3
_UNRESTRICTED: Final = frozenset({"ALTER", "DELETE"})
"""Operations on topics that no program needs: a client that has them on all has all rights."""


def require_rights(program: Program, app_id: str, states: Sequence[TopicState], broker: Broker) -> None:
    """Check that the broker grants a program its rights.

    Parameters
    ----------
    states
        The topics, as `topics.admin.describe` returns them.

    Raises
    ------
    UserError
        If it does not: one sentence with the arguments of ``kafka-acls``.
    BrokerUnavailableError, TopicAdminError
        If it does not answer.
    """
    if all(state.operations >= _UNRESTRICTED for state in states if state.operations) and not any(
        state.is_denied for state in states
    ):
        return
    missing = missing_rights(rights_of(program, app_id), states, broker)
    if missing:
        raise UserError(_sentence(program, missing, connection_of(broker).security.username))


def _sentence(program: Program, missing: Sequence[Right], user: str) -> str:
    named = "; ".join(right.argument for right in missing[:_NAMED])
    rest = f" (and {len(missing) - _NAMED} more)" if len(missing) > _NAMED else ""
    count = "a right" if len(missing) == 1 else f"{len(missing)} rights"
    return (
        f"Kafka denies this {program} {count}. Grant by `kafka-acls --add --allow-principal User:{user or 'NAME'}`: "
        f"{named}{rest}. `headrace doctor --program {program}` lists all of them."
    )
