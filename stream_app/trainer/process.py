"""Runs one trainer process: stands by, trains while it is elected, and stands by again."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError

from stream_app.logs import configure_logging
from stream_app.models.item_content import ItemContent
from stream_app.probe_server import serve
from stream_app.settings import Settings
from stream_app.trainer.active_trainer import ActiveTrainer, Pace, Ports
from stream_app.trainer.announcer import Announcer
from stream_app.trainer.election import Election
from stream_app.trainer.learner import Learner
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.training.options import configure
from stream_app.training.two_tower_training import TwoTowerTraining
from stream_app.worker.lifecycle import verified_partition_count
from stream_app.worker.model_stores import make_checkpoint_store, make_trainer_store
from topics import admin
from topics.access import Program
from topics.broker_client import TopicAdminError

_LOG: Final = logging.getLogger(__name__)
_NICENESS: Final = 10
"""Lists are worth more than training: the workers of the same machine go first."""

_STALLED_SECONDS: Final = 120.0
"""An active trainer that has not read the logs for so long is not healthy."""

_RETRY_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 30.0


class TrainerProcess:
    """A trainer that stands by until it is elected.

    Parameters
    ----------
    make_learner
        Makes an empty learner.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: TrainerMetrics,
        make_learner: Callable[[], Learner],
        election: Election,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._make_learner = make_learner
        self._election = election
        self._active: ActiveTrainer | None = None

    def health(self) -> str:
        """What is wrong with this trainer; empty if nothing is."""
        active = self._active
        if active is not None and (stalled := time.monotonic() - active.alive_at) > _STALLED_SECONDS:
            return f"the logs were not read for {stalled:.0f} s"
        return ""

    async def run(self, stop: asyncio.Event) -> None:
        """Stand by and train in turn until `stop` is set."""
        election = self._election
        await election.start()
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                elected = asyncio.create_task(election.wait_until_elected())
                await _first_of(elected, stopped, election.task)
                if election.task.done():
                    election.task.result()
                if not stop.is_set():
                    await self._try_to_train(stopped)
        finally:
            stopped.cancel()
            await election.stop()

    async def _try_to_train(self, stopped: "asyncio.Task[bool]") -> None:
        """Train; if Kafka or the store does not answer, or Kafka refuses this trainer, return after a moment."""
        try:
            await self._train(stopped)
        except (KafkaError, OSError, TopicAdminError) as error:
            _LOG.error("training stops, and this trainer stands for election again: %r", error)
            await asyncio.wait([stopped], timeout=_RETRY_SECONDS)

    async def _train(self, stopped: "asyncio.Task[bool]") -> None:
        """Train until another trainer is elected, Kafka refuses this one, or it is to stop."""
        election, settings = self._election, self._settings
        announcer = Announcer(settings.kafka, settings.app_id)
        ports = Ports(
            settings.kafka,
            make_checkpoint_store(settings),
            make_trainer_store(settings),
            announcer,
            self._metrics,
            name=f"{socket.gethostname()}:{os.getpid()}",
            topic_ids=await asyncio.to_thread(admin.topic_ids, settings.topics, settings.kafka),
        )
        pace = Pace(settings.checkpoint_interval, settings.trainer_snapshot_interval)
        active = self._active = ActiveTrainer(self._make_learner, ports, pace)
        _LOG.info("this trainer was elected; it trains")
        self._metrics.active.set(1)
        work = asyncio.create_task(active.run(), name="active trainer")
        lost = asyncio.create_task(election.wait_until_lost())
        try:
            await _first_of(work, lost, stopped, election.task)
            if work.done():
                work.result()
            elif stopped.done() and election.is_elected:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await active.store()
        finally:
            for task in (work, lost):
                task.cancel()
            await asyncio.gather(work, lost, return_exceptions=True)
            self._active = None
            self._metrics.active.set(0)
            await announcer.stop()
        if lost.done() and not lost.cancelled():
            _LOG.info("another trainer was elected; this one stands by")


async def _first_of(*tasks: "asyncio.Task[object]") -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def run_trainer(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C.

    Raises
    ------
    UserError
        If an option of the training is invalid, or the broker, its topics, the store or the metrics port is not
        usable.
    """
    metrics = TrainerMetrics()
    make_learner = partial(_make_learner, settings, metrics)
    make_learner()  # an invalid option is an error of the start, not of the first election
    verified_partition_count(settings, Program.TRAINER)
    configure_logging(settings.log_level, settings.log_format, __name__)
    store = make_checkpoint_store(settings)
    os.nice(_NICENESS)
    asyncio.run(_run(settings, metrics, make_learner, store.location))


def _make_learner(settings: Settings, metrics: TrainerMetrics) -> Learner:
    shape, config = configure(
        settings.neural_options,
        max_items=settings.max_items,
        seed=settings.seed,
        n_segments=settings.segment_slots,
        session_gap=settings.session_gap,
    )
    content = ItemContent(settings.text_dimensions, image_dimensions=settings.image_dimensions)
    return Learner(TwoTowerTraining(shape, config, content=content), metrics, settings.limits)


async def _run(
    settings: Settings, metrics: TrainerMetrics, make_learner: Callable[[], Learner], location: str
) -> None:
    election = Election(settings.kafka, settings.app_id, settings.session_timeout)
    process = TrainerProcess(settings, metrics, make_learner, election)
    probes = {"/livez": process.health, "/healthz": process.health}
    port = serve(metrics.registry, probes, settings.metrics_host, settings.metrics_port)
    _LOG.info("metrics at http://%s:%d/metrics, checkpoints in %s", settings.metrics_host, port, location)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        # A store or a broker may never answer: what is not done is done after the next start, as after a crash.
        end = threading.Timer(_STOP_SECONDS, os._exit, (1,))
        end.daemon = True
        end.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await process.run(stop)
