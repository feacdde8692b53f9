"""The broker's classes in the form that Java maps into memory: a start takes half of the seconds and of the CPU time.

Java writes the file, an ahead-of-time cache (JEP 514), at the end of a broker with an option. It fits one version of
Java and of Kafka's jars. Where Java is older, or the file is missing or does not fit, brokers start without it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.child_process import StepCallback
from stream_app.tools.embedded.kafka_runtime import KafkaRuntime, kafka_runtime
from topics.catalog import CLICKS

FIRST_JAVA: Final = 25
"""The first version of Java that writes the file by one option."""

_WRITE_SECONDS: Final = 120.0


class _RecordedBroker(EmbeddedBroker):
    """A broker at whose end Java writes its classes into a file."""

    stop_seconds = _WRITE_SECONDS

    def __init__(self, target: Path) -> None:
        super().__init__()
        self._target: Final = target

    def _java_options(self, runtime: KafkaRuntime) -> list[str]:  # noqa: ARG002  # as its parent's
        # Not code of adapters and stubs, some of which Java 25 rejects with warnings in the log.
        without_code = ["-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching"]
        return [*without_code, f"-XX:AOTCacheOutput={self._target}"]


def prepare(progress: StepCallback | None = None) -> None:
    """Download and unpack the files of the embedded broker ahead of its first start, and prepare fast starts."""
    on_step = progress or _ignore
    runtime = kafka_runtime(on_step)
    if runtime.java_version >= FIRST_JAVA and not runtime.startup_cache.exists():
        on_step("Preparing fast starts of Kafka")
        with _complete_file(runtime.startup_cache) as target:
            _run_broker(target)


def _run_broker(target: Path) -> None:
    # Most calls find the file, and need no client of Kafka.
    from kafka import KafkaConsumer, KafkaProducer  # noqa: PLC0415  # see above

    from topics import admin  # noqa: PLC0415  # see above
    from topics.client_arguments import client_arguments  # noqa: PLC0415  # see above

    with _RecordedBroker(target) as broker:
        admin.create([CLICKS], broker.address, partitions=1, replication=1)
        producer = KafkaProducer(**client_arguments(broker.address), acks="all")
        producer.send(CLICKS.name, b"value", b"key").get(timeout=60)
        producer.close()
        consumer = KafkaConsumer(
            CLICKS.name, **client_arguments(broker.address), group_id="prepare", auto_offset_reset="earliest"
        )
        consumer.poll(timeout_ms=5_000, max_records=1)
        consumer.close()


@contextlib.contextmanager
def _complete_file(file: Path) -> Iterator[Path]:
    """A path beside a file, which is renamed if something was written: no start reads half of it."""
    target = file.with_name(f"{file.name}.part")
    try:
        yield target
        if target.exists():
            target.replace(file)
    finally:
        target.unlink(missing_ok=True)


def _ignore(message: str) -> None:
    """Discard a progress message."""
