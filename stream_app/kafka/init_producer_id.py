"""The request for a producer id, in the version that names the current epoch; aiokafka has only the first version."""

from typing import Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactString, Int16, Int32, Int64, Schema, TaggedFields

_API_KEY: Final = 22
_API_VERSION: Final = 3
"""Of Kafka 2.5 (KIP-360)."""

_TRANSACTION_TIMEOUT_MS: Final = 60_000
"""Required by the request; no transaction is ever begun."""

UNKNOWN: Final = (-1, -1)
"""The producer id and epoch of a producer that has none."""


class _InitProducerIdResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = _API_KEY
    API_VERSION = _API_VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _InitProducerIdRequest(RequestStruct):  # type: ignore[misc]  # see above
    FLEXIBLE_VERSION = True
    API_KEY = _API_KEY
    API_VERSION = _API_VERSION
    RESPONSE_TYPE = _InitProducerIdResponse
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class InitProducerIdRequest(Request[_InitProducerIdRequest]):  # type: ignore[misc]  # see above
    """Asks for the next epoch of a transactional id.

    Parameters
    ----------
    transactional_id
        The id.
    current
        Producer id and epoch that the producer has; the coordinator refuses the request (`InvalidProducerEpoch`) if
        another producer has a newer one. `UNKNOWN` takes the id over from its owner.
    """

    API_KEY = _API_KEY

    def __init__(self, transactional_id: str, current: tuple[int, int] = UNKNOWN) -> None:
        self.transactional_id: Final = transactional_id
        self.current: Final = current

    def build(self, request_struct_class: type[_InitProducerIdRequest]) -> _InitProducerIdRequest:
        """The request as it is sent."""
        return request_struct_class(self.transactional_id, _TRANSACTION_TIMEOUT_MS, *self.current, {})
