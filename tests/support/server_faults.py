"""Faults of the broker and of Redis."""

import os
import signal

from redis import Redis

from stream_app.tools.embedded import EmbeddedBroker, EmbeddedRedis


def suspend(server: EmbeddedBroker | EmbeddedRedis) -> None:
    """Stop it (SIGSTOP): it answers nothing until `resume`."""
    _send_signal(server, signal.SIGSTOP)


def resume(server: EmbeddedBroker | EmbeddedRedis) -> None:
    """Let it go on (SIGCONT)."""
    _send_signal(server, signal.SIGCONT)


def _send_signal(server: EmbeddedBroker | EmbeddedRedis, number: int) -> None:
    assert server.pid is not None
    os.kill(server.pid, number)


def configure(redis: EmbeddedRedis, *arguments: str) -> None:
    """Run an administrator's command."""
    with Redis.from_url(redis.address) as connection:
        connection.execute_command(*arguments)
