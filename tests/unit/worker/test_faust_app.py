"""The settings of Faust that a worker depends on."""

from pathlib import Path

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.faust_app import make_faust_app


def test_a_worker_that_fetches_nothing_for_a_month_stays_in_its_group(tmp_path: Path) -> None:
    """aiokafka would leave the group, and not join it before the next fetch, which Faust does not make then."""
    app = make_faust_app(Settings(data_dir=tmp_path), 4, "memory://", Metrics())
    assert app.conf.broker_max_poll_interval > 30 * 86_400
