"""What a worker process makes sure of before it starts."""

from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.worker import lifecycle as worker
from stream_app.worker.lifecycle import checked_partitions, hold_data_dir
from topics import admin


def test_a_data_folder_is_made_and_held_by_one_worker_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "worker"
    with hold_data_dir(folder):
        with pytest.raises(UserError) as raised:
            hold_data_dir(folder)
        assert str(folder) in str(raised.value)
        assert "Another worker uses" in str(raised.value)
        assert "HEADRACE_DATA_DIR" in str(raised.value)
        # another folder is another worker's
        hold_data_dir(tmp_path / "other").close()
    hold_data_dir(folder).close()


def test_a_second_worker_on_a_folder_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "checked_partitions", lambda _: 4)
    monkeypatch.setattr(worker, "check_redis", lambda _: None)
    with hold_data_dir(tmp_path), pytest.raises(UserError, match="Another worker uses the data folder"):
        worker.run_worker(load_settings(data_dir=tmp_path, metrics_port=0))


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written to .* HEADRACE_DATA_DIR"):
        hold_data_dir(tmp_path / "file" / "worker")


@pytest.mark.parametrize(
    "error",
    [admin.BrokerUnavailableError("kafka:9092"), admin.TopicAdminError("The broker does not describe it")],
)
def test_a_broker_that_is_away_or_refuses_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(admin, "check", refusing)
    with pytest.raises(UserError) as raised:
        checked_partitions(load_settings())
    assert str(raised.value) == str(error)
