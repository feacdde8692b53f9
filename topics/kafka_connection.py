"""The connection to Kafka: bootstrap servers and security.

`topics.client_arguments` makes the arguments of kafka-python's clients of it, and `stream_app.kafka.secured` those of
aiokafka's. No other module does.
"""

import ssl
from collections.abc import Callable
from enum import StrEnum

import msgspec

from topics.secret import Secret

TokenProvider = Callable[[], str]
"""Returns a token of OAUTHBEARER that is valid now; called for every new connection, in any thread."""


class SecurityProtocol(StrEnum):
    """Kafka's ``security.protocol``."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self in {SecurityProtocol.SSL, SecurityProtocol.SASL_SSL}

    @property
    def uses_sasl(self) -> bool:
        """Whether the client authenticates by SASL."""
        return self in {SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL}


class SaslMechanism(StrEnum):
    """Kafka's ``sasl.mechanism``."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"


class CredentialsError(ValueError):
    """Certificates, keys or tokens are not usable; the message is one sentence for people, without a secret."""


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """How a client proves itself to the brokers, and they to it.

    Attributes
    ----------
    mechanism, username, password
        For SASL; of OAUTHBEARER neither user nor password.
    ca_location
        PEM file of the authorities that sign the brokers' certificates; empty for those of the system.
    certificate_location, key_location, key_password
        PEM files of the client's certificate and key, for mutual TLS; empty for none.
    token_provider
        For OAUTHBEARER.
    """

    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    mechanism: SaslMechanism | None = None
    username: str = ""
    password: Secret = Secret("")
    ca_location: str = ""
    certificate_location: str = ""
    key_location: str = ""
    key_password: Secret = Secret("")
    token_provider: TokenProvider | None = None


class KafkaConnection(msgspec.Struct, frozen=True, kw_only=True):
    """Bootstrap servers and security.

    Attributes
    ----------
    servers
        Comma-separated ``host:port``.

    Examples
    --------
    >>> security = KafkaSecurity(
    ...     protocol=SecurityProtocol.SASL_SSL,
    ...     mechanism=SaslMechanism.SCRAM_SHA_512,
    ...     username="web",
    ...     password=Secret("geheim"),
    ... )
    >>> print(KafkaConnection(servers="kafka-1:9093,kafka-2:9093", security=security))
    kafka-1:9093,kafka-2:9093
    """

    servers: str
    security: KafkaSecurity = KafkaSecurity()

    def __str__(self) -> str:
        return self.servers

    @property
    def addresses(self) -> list[str]:
        """Each ``host:port``."""
        return [server.strip() for server in self.servers.split(",")]


Broker = KafkaConnection | str
"""Where Kafka is: a connection, or bootstrap servers alone for one without security."""


def connection_of(broker: Broker) -> KafkaConnection:
    """The connection to a broker that may be named by its servers alone."""
    return broker if isinstance(broker, KafkaConnection) else KafkaConnection(servers=broker)


def ssl_context(security: KafkaSecurity) -> ssl.SSLContext | None:
    """The TLS context of new connections; None without TLS.

    The files are read at each call: clients that start after a rotation of certificates use the new ones.

    Raises
    ------
    CredentialsError
        If a file cannot be used.
    """
    if not security.protocol.uses_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=security.ca_location or None)
    except (OSError, ValueError) as error:
        raise CredentialsError(
            f"The file of certificate authorities {security.ca_location} cannot be used: {_reason(error)}."
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if security.certificate_location:
        try:
            context.load_cert_chain(
                security.certificate_location,
                security.key_location or None,
                # Without a password OpenSSL would ask for one at the terminal.
                password=security.key_password.reveal,
            )
        except (OSError, ValueError) as error:
            files = security.certificate_location
            if security.key_location:
                files += f" with the key {security.key_location}"
            raise CredentialsError(
                f"The client certificate {files} cannot be used: {_reason(error)}."
            ) from None
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if "MISMATCH" in reason:
            return "the key does not belong to the certificate"
        if reason in {"NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"} or "PEM" in (error.library or ""):
            return "it has no certificate or key in PEM format"
        return "the key is encrypted and its password is missing or wrong, or a file is not in PEM format"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return "the password of the key is not usable"


def valid_token(provider: TokenProvider) -> str:
    """A token.

    Raises
    ------
    CredentialsError
        If the provider raises an error, or returns no token. The error does not repeat the provider's, which may
        contain secrets: its type and place are enough to find it.
    """
    try:
        token = provider()
    except CredentialsError:
        raise
    except Exception as error:  # noqa: BLE001  # the shop's code
        raise CredentialsError(f"The token provider failed ({type(error).__name__}).") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
        raise CredentialsError(
            "The token provider returned no token: it must return a text of printable ASCII."
        )
    return token
