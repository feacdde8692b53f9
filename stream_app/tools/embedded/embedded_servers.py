"""Both embedded servers, or the external ones that environment variables name."""

from typing import Final, Self

from stream_app.redis_server import RedisServer, parse_redis
from stream_app.settings import embedded_override, external_broker, load_settings
from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.child_process import StepCallback
from stream_app.tools.embedded.redis_server import EmbeddedRedis
from topics.kafka_connection import Broker


class EmbeddedServers:
    """A broker and a Redis for the demo, the tests and the benchmark.

    A context manager that starts them on entry and stops them on exit. An external server that ``HEADRACE_BROKER`` or
    ``HEADRACE_REDIS`` names is neither started nor stopped.

    Attributes
    ----------
    broker, redis
        The embedded server; None if an external one is used.
    """

    def __init__(self) -> None:
        self._external_broker: Final = external_broker()
        self._external_redis: Final = embedded_override("REDIS")
        self.broker: Final = None if self._external_broker else EmbeddedBroker()
        self.redis: Final = None if self._external_redis else EmbeddedRedis()

    @property
    def broker_address(self) -> str:
        """The bootstrap servers, ``host:port``."""
        return str(self.broker_connection)

    @property
    def broker_connection(self) -> Broker:
        """The connection to Kafka; of an embedded broker its address alone."""
        return self._external_broker or (self.broker.address if self.broker else "")

    @property
    def redis_address(self) -> str:
        """The Redis URL."""
        return self._external_redis or (self.redis.address if self.redis else "")

    @property
    def redis_server(self) -> RedisServer:
        """Redis with what a client needs to log in."""
        return load_settings().redis_server if self._external_redis else parse_redis(self.redis_address)

    def start(self, progress: StepCallback | None = None) -> None:
        """Start the embedded servers and wait until they respond.

        Raises
        ------
        UserError
            If a server cannot be started; then both are stopped.
        """
        try:
            for server in (self.redis, self.broker):
                if server is not None:
                    server.start(progress)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the embedded servers."""
        try:
            if self.broker is not None:
                self.broker.stop()
        finally:
            if self.redis is not None:
                self.redis.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
