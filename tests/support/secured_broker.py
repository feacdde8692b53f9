"""An embedded Kafka as a shop runs it: TLS, SASL, client certificates and ACLs, deny by default."""

import base64
import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.admin import ACLResourcePatternType as PatternType

from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.child_process import free_port
from stream_app.tools.embedded.kafka_runtime import KafkaRuntime
from tests.support.certificates import LOOPBACK, Authority
from topics.access import Right

USERS: Final = ("worker", "trainer", "web", "shop", "operator", "stranger")
PASSWORD_PREFIX: Final = "Geheim7'+%/&="  # noqa: S105  # of users that tests create
"""Passwords have characters that URLs and quoting change."""

_ENDPOINTS: Final = ("SASLTLS", "SASLPLAIN", "MUTUAL", "WRONGHOST", "EXPIRED")


def password_of(user: str) -> str:
    """The password of a user, for PLAIN and SCRAM."""
    return f"{PASSWORD_PREFIX}{user}"


def token_of(user: str, seconds: float = 3_600.0) -> str:
    """A token of OAUTHBEARER; the broker accepts unsigned ones."""
    now = time.time()
    # The broker compares milliseconds: a token of this one would be of the future.
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 7_200, "exp": now + seconds})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join(encoded) + "."


class SecuredBroker(EmbeddedBroker):
    """A broker whose users have the rights that a test grants them.

    Its address without security is for the test itself, which has all rights there.

    Parameters
    ----------
    folder
        Folder of the broker and of the certificates.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder=folder)
        self.authority: Final = Authority(folder / "certificates")
        self._ports: Final = {name: free_port() for name in _ENDPOINTS}
        self.certificate: Final = self.authority.issue("worker")
        self._key_stores: Final = {
            "": self._key_store("broker", LOOPBACK),
            "wronghost": self._key_store("wronghost", ("kafka.example",)),
            "expired": self._key_store("expired", LOOPBACK, days=-1),
        }

    def endpoint(self, name: str, host: str = "localhost") -> str:
        """The address of one of Kafka's listeners."""
        return f"{host}:{self._ports[name]}"

    def _key_store(self, name: str, hosts: tuple[str, ...], days: int = 10) -> Path:
        certificate, key = self.authority.issue(name, hosts, days=days)
        path = certificate.with_name(f"{name}.store.pem")
        path.write_bytes(key.read_bytes() + certificate.read_bytes())
        return path

    def _configure(self, runtime: KafkaRuntime) -> None:
        super()._configure(runtime)
        path = self.folder / "server.properties"
        properties = path.read_text()
        path.write_text(properties + self._security(properties))

    def _security(self, properties: str) -> str:
        """The properties that replace or follow those of a broker without security."""
        [bound] = [line for line in properties.splitlines() if line.startswith("listeners=")]
        [advertised] = [line for line in properties.splitlines() if line.startswith("advertised.listeners=")]
        added = ",".join(f"{name}://{self.endpoint(name)}" for name in _ENDPOINTS)
        module = "org.apache.kafka.common.security"
        plain = " ".join(f'user_{user}="{password_of(user)}"' for user in USERS)
        lines = [
            f"{bound},{added}",
            f"{advertised},{added}",
            (
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASLTLS:SASL_SSL,"
                "SASLPLAIN:SASL_PLAINTEXT,MUTUAL:SSL,WRONGHOST:SASL_SSL,EXPIRED:SASL_SSL"
            ),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "allow.everyone.if.no.acl.found=false",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._key_stores['']}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.authority.path}",
            "listener.name.mutual.ssl.client.auth=required",
            "listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/",
        ]
        for name in ("wronghost", "expired"):
            lines += [
                f"listener.name.{name}.ssl.keystore.type=PEM",
                f"listener.name.{name}.ssl.keystore.location={self._key_stores[name]}",
            ]
        for name in ("sasltls", "saslplain", "wronghost", "expired"):
            lines += [
                f"listener.name.{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                f"listener.name.{name}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required {plain};",
                f"listener.name.{name}.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;",
                f"listener.name.{name}.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;",
                (
                    f"listener.name.{name}.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule "
                    'required unsecuredLoginStringClaim_sub="broker";'
                ),
            ]
        return "\n".join(lines) + "\n"

    def admin(self) -> Any:
        """An admin client with all rights."""
        return KafkaAdminClient(bootstrap_servers=self.address)

    def create_users(self) -> None:
        """Create the users for SCRAM; those of PLAIN are in the configuration."""
        mechanisms = ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512
        self.set_passwords({user: password_of(user) for user in USERS}, mechanisms)

    def set_passwords(
        self,
        passwords: dict[str, str],
        mechanisms: Iterable[ScramMechanism] = (ScramMechanism.SCRAM_SHA_512,),
    ) -> None:
        """Set passwords of users for SCRAM."""
        client = self.admin()
        try:
            for mechanism in mechanisms:
                client.alter_user_scram_credentials(
                    [
                        UserScramCredentialUpsertion(user, mechanism, password, iterations=4_096)
                        for user, password in passwords.items()
                    ]
                )
        finally:
            client.close()

    def grant(self, user: str, rights: Iterable[Right]) -> None:
        """Grant rights to a user."""
        client = self.admin()
        try:
            client.create_acls([_acl(user, right) for right in rights])
        finally:
            client.close()

    def revoke(self, user: str, right: Right) -> None:
        """Revoke a right of a user."""
        client = self.admin()
        try:
            acl = _acl(user, right)
            pattern = acl.resource_pattern
            resource = ResourcePatternFilter(
                pattern.resource_type, pattern.resource_name, pattern.pattern_type
            )
            client.delete_acls(
                [ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, resource)]
            )
        finally:
            client.close()

    def stop(self) -> None:
        """Stop it and remove its folder."""
        folder = self.folder if self._folder is not None else None
        super().stop()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _acl(user: str, right: Right) -> ACL:
    pattern = PatternType.PREFIXED if right.is_prefix else PatternType.LITERAL
    return ACL(
        principal=f"User:{user}",
        host="*",
        operation=ACLOperation[right.operation],
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType[right.resource.name], right.name, pattern),
    )
