"""Files that were set aside end, since they may hold erased users."""

import os
import time
from pathlib import Path

from stream_app.worker.erasures import remove_set_aside


def test_damaged_files_end_and_others_stay(tmp_path: Path) -> None:
    now = time.time()
    old, new = (f"users-0.db.damaged-{round((now - age) * 1e9)}" for age in (1_000, 10))
    for name in (old, new, "users-0.db"):
        folder = tmp_path / "table" / name
        folder.mkdir(parents=True)
        (folder / "000003.log").write_bytes(b"row")
    snapshots = tmp_path / "models"
    snapshots.mkdir()
    for name in ("models-0000000001.damaged", "models-0000000002.snapshot"):
        (snapshots / name).write_bytes(b"models")
        os.utime(snapshots / name, (now - 1_000, now - 1_000))
    remove_set_aside(tmp_path, now - 500)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == [
        "models-0000000002.snapshot",
        "users-0.db",
        new,
    ]


def test_a_folder_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    remove_set_aside(tmp_path / "none", time.time())
