"""The settings of Faust that a worker depends on."""

from pathlib import Path

import pytest

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.faust_app import make_faust_app


def test_a_worker_that_fetches_nothing_for_a_month_stays_in_its_group(tmp_path: Path) -> None:
    """aiokafka would leave the group, and not join it before the next fetch, which Faust does not make then."""
    app = make_faust_app(Settings(data_dir=tmp_path), 4, "memory://", Metrics())
    assert app.conf.broker_max_poll_interval > 30 * 86_400


def test_variables_of_other_programs_do_not_change_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery, for one, reads BROKER_URL too; Faust would let it override what Headrace sets."""
    settings = Settings(data_dir=tmp_path, broker="kafka-1:9092")
    before = make_faust_app(settings, 4, "memory://", Metrics()).conf
    for name, value in {
        "BROKER_URL": "kafka://elsewhere:9092",
        "BROKER_MAX_POLL_INTERVAL": "12",
        "PRODUCER_ACKS": "0",
        "TABLE_STANDBY_REPLICAS": "3",
        "APP_DATADIR": "/elsewhere",
        "CONSUMER_AUTO_OFFSET_RESET": "latest",
    }.items():
        monkeypatch.setenv(name, value)
    conf = make_faust_app(settings, 4, "memory://", Metrics()).conf
    assert (
        [str(url) for url in conf.broker] == [str(url) for url in before.broker] == ["kafka://kafka-1:9092"]
    )
    assert (conf.broker_max_poll_interval, conf.producer_acks) == (before.broker_max_poll_interval, -1)
    assert (conf.table_standby_replicas, conf.consumer_auto_offset_reset) == (0, "earliest")
    assert conf.datadir == before.datadir
