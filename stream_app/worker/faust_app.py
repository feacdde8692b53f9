"""The Faust application of a worker, with its settings."""

from typing import Final

import faust

from state.user_table import ChangelogTable
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.direct_stream import DirectStream
from stream_app.worker.faust_credentials import credentials_of
from stream_app.worker.faust_monitor import ScrapedMonitor
from stream_app.worker.record_order import BrokerTimeOrder
from stream_app.worker.table_recovery import FencedTableManager

_BATCH_BYTES: Final = 2 * 1024 * 1024
_REQUEST_BYTES: Final = 8 * 1024 * 1024
_REBALANCE_TIMEOUT: Final = 60.0
_POLL_INTERVAL: Final = 10 * 365 * 86_400.0
"""Seconds without a fetch after which aiokafka leaves the group, and joins it again only after the next fetch.

A worker fetches nothing during a recovery, and after a while none if it waits for logs, Redis or the disk. If it left
the group then, it would suspend the flow of messages, fetch nothing, and never join again.
"""


def make_faust_app(settings: Settings, partitions: int, table_store: str, metrics: Metrics) -> faust.App:
    """The application without agents; its data folder is made if it is missing."""
    folder = settings.data_dir / "table"
    if folder.is_file():
        folder.rename(folder.with_name("table.damaged"))
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        settings.app_id,
        broker=";".join(f"kafka://{host}" for host in settings.kafka.addresses),
        broker_credentials=credentials_of(settings.kafka.security),
        store=table_store,
        datadir=folder,
        autodiscover=False,
        web_enabled=False,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        Table=ChangelogTable,
        TableManager=FencedTableManager,
        ConsumerScheduler=BrokerTimeOrder,
        consumer_auto_offset_reset="earliest",
        # A killed worker holds its partitions until its session times out; the default of Faust is a minute.
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 4,
        # No member is removed from the group before its lease ends.
        broker_rebalance_timeout=max(_REBALANCE_TIMEOUT, settings.session_timeout),
        broker_max_poll_interval=_POLL_INTERVAL,
        broker_commit_interval=1.0,
        producer_linger=settings.producer_linger,
        producer_max_batch_size=_BATCH_BYTES,
        producer_max_request_size=_REQUEST_BYTES,
        producer_acks=-1,
        table_standby_replicas=0,
        Stream=DirectStream,
        # Faust lets variables such as BROKER_URL, which other programs have too, override all of these.
        env={},
    )
    app.monitor = ScrapedMonitor(metrics.registry)
    return app
