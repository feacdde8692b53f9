"""Finds out why no connection to Kafka is made, in one sentence that says what to do.

The Kafka clients try again without an end, and report a time-out: the cause is lost. This module does what they do,
once per bootstrap server and step by step: TCP, TLS, and the first requests of the protocol, each with a time limit.
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kafka.errors import KafkaError
from kafka.net.sasl import get_sasl_mechanism

from topics.client_arguments import sasl_arguments
from topics.kafka_connection import (
    CredentialsError,
    KafkaConnection,
    KafkaSecurity,
    SecurityProtocol,
    ssl_context,
)

STEP_SECONDS: Final = 5.0
"""For one step of a secured connection; on a busy machine TLS and SASL take long."""

PLAIN_SECONDS: Final = 1.5
"""For one step of a connection without security."""

_API_VERSIONS: Final = 18
_METADATA: Final = 3
_SASL_HANDSHAKE: Final = 17
_SASL_AUTHENTICATE: Final = 36
_UNSUPPORTED_MECHANISM: Final = 33
_ILLEGAL_SASL_STATE: Final = 34
_MAX_RESPONSE: Final = 1_000_000
_MAX_ROUNDS: Final = 8

_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_WRONG_NAMES: Final = {62, 64}
"""Codes of OpenSSL's verification of certificates."""

_PROTOCOL: Final = "HEADRACE_KAFKA_SECURITY_PROTOCOL"


class ConnectionRefusal(Exception):  # noqa: N818  # it is the answer to a question
    """A server was reached, and no connection was made; the message is one sentence for people."""


class Attempt(NamedTuple):
    """The outcome of an attempt to connect."""

    is_accepted: bool
    # The reason of the first server that was reached; None if none answered in time.
    refusal: str | None


def attempt(connection: KafkaConnection) -> Attempt:
    """Connect to the servers in their order, until one accepts this client."""
    refusal = None
    for address in connection.addresses:
        host, _, port = address.rpartition(":")
        try:
            _connect(host.strip("[]"), int(port), connection.security, address)
        except ConnectionRefusal as error:
            refusal = refusal or str(error)
        except (OSError, ValueError, OverflowError):
            continue
        else:
            return Attempt(is_accepted=True, refusal=None)
    return Attempt(is_accepted=False, refusal=refusal)


def find_refusal(connection: KafkaConnection) -> str | None:
    """Why the servers refuse a connection; None if none was reached, or one accepts this client."""
    return attempt(connection).refusal


def _connect(host: str, port: int, security: KafkaSecurity, address: str) -> None:
    """Connect and authenticate.

    Raises
    ------
    ConnectionRefusal
        If the server refuses this client, or this client the server.
    OSError
        If the server is not reached, or does not answer in time.
    """
    with contextlib.ExitStack() as stack:
        seconds = PLAIN_SECONDS if security.protocol is SecurityProtocol.PLAINTEXT else STEP_SECONDS
        plain = stack.enter_context(socket.create_connection((host, port), timeout=seconds))
        plain.settimeout(seconds)
        try:
            context = ssl_context(security)
        except CredentialsError as error:
            raise ConnectionRefusal(str(error)) from None
        stream = plain
        if context is not None:
            stream = stack.enter_context(_handshake(plain, context, host, address))
        _first_requests(_Requests(stream), host, security, address)


@contextlib.contextmanager
def _handshake(
    plain: socket.socket, context: ssl.SSLContext, host: str, address: str
) -> Iterator[ssl.SSLSocket]:
    try:
        stream = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise ConnectionRefusal(_certificate_sentence(error, host, address)) from None
    except TimeoutError:
        raise
    except (ssl.SSLError, OSError) as error:
        if sentence := _alert_sentence(error, address):
            raise ConnectionRefusal(sentence) from None
        raise ConnectionRefusal(
            f"The listener at {address} does not answer in TLS. Set {_PROTOCOL} to PLAINTEXT or SASL_PLAINTEXT, or "
            "HEADRACE_BROKER to the address of a TLS listener."
        ) from None
    with stream:
        yield stream


def _certificate_sentence(error: ssl.SSLCertVerificationError, host: str, address: str) -> str:
    """What is wrong with the broker's certificate."""
    if error.verify_code == _EXPIRED:
        return f"The certificate of the broker at {address} has expired. Renew it on the broker."
    if error.verify_code == _NOT_YET_VALID:
        return (
            f"The certificate of the broker at {address} is not valid yet. Check the clocks of both machines."
        )
    if error.verify_code in _WRONG_NAMES:
        return (
            f"The certificate of the broker at {address} is for another host. Set HEADRACE_BROKER to a name in the "
            f"certificate, or add {host} to its subject alternative names."
        )
    return (
        f"The certificate of the broker at {address} is not trusted ({error.verify_message}). Set "
        "HEADRACE_KAFKA_SSL_CA_LOCATION to the PEM file of the authority that signed it."
    )


def _alert_sentence(error: OSError, address: str) -> str | None:
    """What the broker does not accept of the client's certificate; None for another error."""
    reason = (getattr(error, "reason", None) or "").upper()
    if "CERTIFICATE_REQUIRED" in reason:
        return (
            f"The broker at {address} asks for a client certificate. Set HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION "
            "and HEADRACE_KAFKA_SSL_KEY_LOCATION."
        )
    if "CERTIFICATE_EXPIRED" in reason:
        return f"The broker at {address} refuses the client certificate: it has expired. Renew it."
    if "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason or "HANDSHAKE_FAILURE" in reason):
        return (
            f"The broker at {address} refuses the client certificate ({reason.replace('_', ' ').lower()}). Use one "
            "that an authority in the broker's truststore has signed, and that has not expired: "
            "HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION."
        )
    return None


def _first_requests(requests: "_Requests", host: str, security: KafkaSecurity, address: str) -> None:
    """Send what a Kafka client sends first.

    Raises
    ------
    ConnectionRefusal
        If the server does not answer as a broker that accepts the client.
    """
    try:
        requests.send(_API_VERSIONS, 0, b"")
    except TimeoutError:
        raise
    except OSError as error:
        raise ConnectionRefusal(_silence_sentence(error, security, address)) from None
    if security.protocol.uses_sasl:
        try:
            _authenticate(requests, host, security, address)
        except TimeoutError:
            raise
        except (OSError, struct.error):
            raise ConnectionRefusal(
                f"The broker at {address} closed the connection in the middle of the SASL exchange. See the "
                "broker's log."
            ) from None
        return
    try:
        requests.send(_METADATA, 1, struct.pack(">i", 0))
    except TimeoutError:
        raise
    except OSError:
        with_sasl = "SASL_SSL" if security.protocol.uses_tls else "SASL_PLAINTEXT"
        raise ConnectionRefusal(
            f"The listener at {address} asks for SASL. Set {_PROTOCOL} to {with_sasl}, and mechanism, user and "
            "password."
        ) from None


def _silence_sentence(error: OSError, security: KafkaSecurity, address: str) -> str:
    """Why a listener does not answer the first request."""
    if sentence := _alert_sentence(error, address):
        return sentence
    if security.protocol.uses_tls:
        return (
            f"The broker at {address} closed the connection after the TLS handshake. If it asks for a client "
            "certificate, set HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION and HEADRACE_KAFKA_SSL_KEY_LOCATION to one "
            "that it trusts."
        )
    with_tls = "SASL_SSL" if security.protocol is SecurityProtocol.SASL_PLAINTEXT else "SSL"
    return (
        f"The listener at {address} does not answer as Kafka does without TLS. Set {_PROTOCOL} to {with_tls} if it "
        "uses TLS, or HEADRACE_BROKER to the address of a Kafka listener."
    )


def _authenticate(requests: "_Requests", host: str, security: KafkaSecurity, address: str) -> None:
    """Authenticate by SASL.

    Raises
    ------
    ConnectionRefusal
        If the broker refuses the mechanism or the credentials.
    """
    name = str(security.mechanism)
    answer = requests.send(_SASL_HANDSHAKE, 1, _text(name))
    code = answer.int16()
    if code == _ILLEGAL_SASL_STATE:
        without_sasl = "SSL" if security.protocol.uses_tls else "PLAINTEXT"
        raise ConnectionRefusal(
            f"The listener at {address} does not use SASL. Set {_PROTOCOL} to {without_sasl}, or HEADRACE_BROKER to "
            "the address of a SASL listener."
        )
    if code:
        offered = ", ".join(answer.texts())
        wrong = "does not accept" if code == _UNSUPPORTED_MECHANISM else "refuses"
        raise ConnectionRefusal(
            f"The broker at {address} {wrong} the SASL mechanism {name}; it accepts {offered or 'none'}. Set "
            "HEADRACE_KAFKA_SASL_MECHANISM to one of these."
        )
    try:
        mechanism = get_sasl_mechanism(name)(
            host=host, security_protocol=str(security.protocol), **sasl_arguments(security)
        )
        for _ in range(_MAX_ROUNDS):
            if mechanism.is_done():
                break
            token = mechanism.auth_bytes()
            answer = requests.send(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
            code, _ = answer.int16(), answer.nullable_text()
            if code:
                raise ConnectionRefusal(_refused_sentence(security, address))
            mechanism.receive(answer.block())
    except CredentialsError as error:
        raise ConnectionRefusal(f"{error} See HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_PROVIDER.") from None
    except (KafkaError, ValueError):
        raise ConnectionRefusal(_refused_sentence(security, address)) from None
    if not mechanism.is_authenticated():
        raise ConnectionRefusal(_refused_sentence(security, address))


def _refused_sentence(security: KafkaSecurity, address: str) -> str:
    if security.token_provider is not None:
        return (
            f"The broker at {address} refuses the token. Check that it has not expired, and that the broker accepts "
            "its issuer, its claims and its scope."
        )
    return (
        f"The broker at {address} refuses the user {security.username!r} or its password by "
        f"{security.mechanism}. Check HEADRACE_KAFKA_SASL_USERNAME, HEADRACE_KAFKA_SASL_PASSWORD and the mechanism "
        "for which the user was created."
    )


class _Requests:
    """Kafka's requests and responses on a stream, one at a time."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream: Final = stream
        self._sent = 0

    def send(self, key: int, version: int, body: bytes) -> "_Answer":
        """Send a request; return the answer after its header."""
        self._sent += 1
        request = struct.pack(">hhi", key, version, self._sent) + _text("headrace-check") + body
        self._stream.sendall(struct.pack(">i", len(request)) + request)
        [size] = struct.unpack(">i", self._receive(4))
        if not 4 <= size <= _MAX_RESPONSE:
            raise OSError("not an answer of Kafka")
        answer = self._receive(size)
        if struct.unpack_from(">i", answer) != (self._sent,):
            raise OSError("not an answer of Kafka")
        return _Answer(answer[4:])

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._stream.recv(size - len(data))
            if not part:
                raise ConnectionResetError("closed by the server")
            data += part
        return data


class _Answer:
    """Reads the fields of an answer."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self._at = 0

    def _unpack(self, code: str) -> Any:
        [value] = struct.unpack_from(f">{code}", self._data, self._at)
        self._at += struct.calcsize(f">{code}")
        return value

    def int16(self) -> int:
        """A code."""
        return int(self._unpack("h"))

    def nullable_text(self) -> str:
        """A text; empty if there is none."""
        length = self.int16()
        return "" if length < 0 else self._take(length).decode(errors="replace")

    def texts(self) -> list[str]:
        """A list of texts."""
        return [self.nullable_text() for _ in range(self._unpack("i"))]

    def block(self) -> bytes:
        """Bytes; empty if there are none."""
        return self._take(max(0, self._unpack("i")))

    def _take(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded
