"""A shop whose Kafka is secured: topics, users with the least rights, a Redis, and commands run as a user."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from stream_app.settings.loading import child_environment
from stream_app.tools.embedded.redis_server import EmbeddedRedis
from tests.support.secured_broker import SecuredBroker, password_of
from topics import admin
from topics.access import Program, rights_of
from topics.catalog import catalog
from topics.kafka_connection import KafkaConnection, KafkaSecurity, SaslMechanism, SecurityProtocol
from topics.secret import Secret

APP_ID: Final = "shop"
PARTITIONS: Final = 2
DEAD_SERVER: Final = "localhost:1"
"""The first of two bootstrap servers: nothing listens there."""

COMMAND_SECONDS: Final = 240.0


class Output(NamedTuple):
    """Exit status of a command, and all that it printed."""

    status: int
    text: str


class SecuredShop(NamedTuple):
    """The servers of the shop."""

    broker: SecuredBroker
    redis: EmbeddedRedis
    folder: Path

    def connection(self, user: str, **fields: object) -> KafkaConnection:
        """A connection of a user by SASL_SSL and SCRAM; fields of `KafkaSecurity` replace these."""
        security: dict[str, object] = {
            "protocol": SecurityProtocol.SASL_SSL,
            "mechanism": SaslMechanism.SCRAM_SHA_512,
            "username": user,
            "password": Secret(password_of(user)),
            "ca_location": str(self.broker.authority.path),
        }
        # Not the dead server: kafka-python leaves the sockets of failed connections to the collector.
        servers = self.broker.endpoint("SASLTLS")
        return KafkaConnection(servers=servers, security=KafkaSecurity(**security | fields))  # type: ignore[arg-type]

    def settings(self, user: str, **settings: object) -> dict[str, object]:
        """The settings with which a user runs a command; the password is in a file."""
        password = self.folder / f"password-{user}"
        password.write_text(f"{password_of(user)}\n")
        return {
            "app_id": APP_ID,
            "broker": f"{DEAD_SERVER},{self.broker.endpoint('SASLTLS')}",
            "redis": self.redis.address,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_sasl_username": user,
            "kafka_sasl_password_file": str(password),
            "kafka_ssl_ca_location": str(self.broker.authority.path),
            **settings,
        }

    def run(self, user: str, *arguments: str, **settings: object) -> Output:
        """Run a ``headrace`` command as a user."""
        return run_command(self.settings(user, **settings), *arguments)


def run_command(settings: Mapping[str, object], *arguments: str) -> Output:
    """Run a ``headrace`` command with settings; empty ones are unset."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_KAFKA")}
    environment = {**inherited, **child_environment(**settings), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Output(done.returncode, done.stdout)


@contextmanager
def secured_shop(folder: Path) -> Iterator[SecuredShop]:
    """A running shop with topics, and users who are named as the programs whose rights they have."""
    broker = SecuredBroker(folder / "kafka")
    try:
        broker.start()
        broker.create_users()
        admin.create(catalog(APP_ID), broker.address, partitions=PARTITIONS, replication=1)
        for program in Program:
            broker.grant(str(program), rights_of(program, APP_ID))
        with EmbeddedRedis() as redis:
            yield SecuredShop(broker, redis, folder)
    finally:
        broker.stop()
