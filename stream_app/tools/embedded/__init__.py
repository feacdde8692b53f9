"""A real Kafka broker and a real Redis on loopback, from PyPI and Maven packages alone.

The demo, the integration tests and the benchmark all start their servers here: `EmbeddedServers` starts
both, or uses the ones that ``HEADRACE_BROKER`` and ``HEADRACE_REDIS`` name. Each server runs in a folder of
its own, on a free port, in a session of its own (so that ctrl-C reaches it only through us), and never
outlives the process that started it. What they run comes with the extra ``demo`` (`broker`, `redis_server`)
and from a cache that `prepare` fills (`kafka_runtime`).
"""

from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.child_process import StepCallback
from stream_app.tools.embedded.embedded_servers import EmbeddedServers
from stream_app.tools.embedded.kafka_runtime import prepare
from stream_app.tools.embedded.redis_server import EmbeddedRedis

__all__ = ["EmbeddedBroker", "EmbeddedRedis", "EmbeddedServers", "StepCallback", "prepare"]
