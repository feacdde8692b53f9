"""Seconds from the start of a worker until it is ready, and how long lists pause while another joins or leaves.

A list pauses from the moment of an event until the list that reflects it is in Redis. Probing users act one after the
other while a worker joins, and while it leaves; the longest of their waits is the pause. It contains the freshness of
a calm time, which is printed beside it.
"""

import shutil
import signal
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Final, Self

import msgspec
import typer

from stream_app.client import Client
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import scratch_dir
from stream_app.tools.bench.throughput import PARTITIONS, isolated_servers
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess
from topics.events import Click

_PROBES: Final = 64
_INTERVAL_SECONDS: Final = 0.05
_CALM_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 10.0
"""After a worker has joined: a group that rebalances twice pauses twice."""

_TIMEOUT_SECONDS: Final = 60.0


class StartResults(msgspec.Struct, frozen=True):
    """Seconds.

    Attributes
    ----------
    first_ready, second_ready
        From the start of the process until it processes events: alone, and beside a running worker.
    calm, joining, leaving
        The longest wait for a list before, while the second worker joins, and while it leaves (SIGTERM).
    """

    first_ready: float
    second_ready: float
    calm: float
    joining: float
    leaving: float


class _Probe:
    """Users who click in turn, each again once their list reflects the click before.

    Parameters
    ----------
    sender
        Sends the clicks.
    client
        Reads the lists.
    """

    def __init__(self, sender: KafkaEventSender, client: Client) -> None:
        self._sender = sender
        self._client = client
        self._sent: dict[str, float] = {}
        self._n_clicks = 0
        self._longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_TIMEOUT_SECONDS)

    def longest(self) -> float:
        """The longest wait since the last call, in seconds, those that have not ended included."""
        if self._error is not None:
            raise self._error
        now = time.time()
        found = max((self._longest, *(now - sent for sent in list(self._sent.values()))))
        self._longest = 0.0
        return found

    def _run(self) -> None:
        try:
            while not self._stop.wait(_INTERVAL_SECONDS):
                self._look()
                self._click()
        except BaseException as error:  # noqa: BLE001  # raised by the next call of `longest`
            self._error = error

    def _click(self) -> None:
        user = f"probe-{self._n_clicks % _PROBES}"
        self._n_clicks += 1
        if user in self._sent:
            return
        now = time.time()
        item = f"item-{self._n_clicks % 50}"
        event_id = f"probe {self._n_clicks}"
        click = Click(event_id=event_id, user_id=user, ts=round(now * 1000), item_id=item)
        self._sender.send(event_record(click))
        self._sender.flush()
        self._sent[user] = now

    def _look(self) -> None:
        for user, sent in list(self._sent.items()):
            found = self._client.read_key(user_key(user))
            if found is None:
                continue
            at = datetime.fromisoformat(found.generated_at).timestamp()
            if at >= sent:
                self._longest = max(self._longest, at - sent)
                del self._sent[user]


def measure_starts() -> StartResults:
    """Start a worker, then another beside it, and stop that one.

    Raises
    ------
    UserError
        If a server or a worker cannot be started or ends.
    """
    folder = scratch_dir("bench-starts")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = stack.enter_context(isolated_servers())
        settings: dict[str, object] = {
            "broker": servers.broker_connection,
            "redis": servers.redis_address,
            "partitions": PARTITIONS,
        }
        pool, second = WorkerPool(), WorkerPool()
        stack.callback(pool.stop)
        stack.callback(second.stop)
        first_ready = _start(pool, WorkerProcess(1, folder, settings))
        sender = KafkaEventSender(servers.broker_connection)
        stack.callback(sender.close)
        client = stack.enter_context(Client(servers.redis_address))
        probe = stack.enter_context(_Probe(sender, client))
        time.sleep(_CALM_SECONDS)  # the first lists
        probe.longest()
        time.sleep(_CALM_SECONDS)
        calm = probe.longest()
        worker = WorkerProcess(2, folder, settings)
        second_ready = _start(second, worker)
        time.sleep(_SETTLE_SECONDS)
        joining = probe.longest()
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(_TIMEOUT_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        return StartResults(first_ready, second_ready, calm, joining, probe.longest())


def _start(pool: WorkerPool, worker: WorkerProcess) -> float:
    began = time.monotonic()
    pool.start(worker)
    pool.wait_until_ready()
    return time.monotonic() - began


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Measurements; each is printed.")] = 1,
) -> None:
    """Print seconds until a worker is ready, and the pause of lists while another joins and leaves.

    Machine code of the kernels is kept on disk: the first round on a machine compiles, unless `headrace compile` did.
    """
    for number in range(1, rounds + 1):
        found = measure_starts()
        typer.echo(f"round {number} of {rounds}")
        typer.echo(f"  ready, the first worker         {found.first_ready:6.1f} s")
        typer.echo(f"  ready, beside a running worker  {found.second_ready:6.1f} s")
        typer.echo(f"  longest wait, one worker        {found.calm:6.2f} s")
        typer.echo(f"  longest wait, one joins         {found.joining:6.2f} s")
        typer.echo(f"  longest wait, one leaves        {found.leaving:6.2f} s")


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        raise SystemExit(str(error)) from None
