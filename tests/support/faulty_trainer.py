"""A ``headrace trainer`` process with a fault; run as a script, with the fault.

It kills itself (SIGKILL) at a moment:

``writing``: a part of its second checkpoint is in the store. ``announcing``: its second checkpoint is in the store,
and is not announced. ``storing``: a part of its second snapshot after an announcement is in the store.

Or it is slow. ``held:FILE``: when it has read `HELD_AFTER` records it reads no more of them until there is the file.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

_SCRIPT: Final = str(Path(__file__).resolve())
MOMENTS: Final = ("writing", "announcing", "storing")
HELD_AFTER: Final = 600
"""Records, in fetches of a third of these."""


def command(fault: str) -> tuple[str, ...]:
    """The command of a trainer with a fault."""
    return (sys.executable, _SCRIPT, fault)


def held_until(released: Path) -> str:
    """The fault of a trainer that is behind until a file exists."""
    return f"held:{released}"


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
    raise AssertionError("unreachable")


def _die_in_second_file(is_meant: Callable[[str], bool]) -> None:
    """Write half of the second file of a kind, then die."""
    from state.snapshots.files import WRITING_SUFFIX, FolderFiles

    write = FolderFiles.write
    written = 0

    def call(self: FolderFiles, name: str, content: bytes) -> None:
        nonlocal written
        if is_meant(name):
            written += 1
            if written == 2:
                partial = Path(self.location) / f".{name}{WRITING_SUFFIX}"
                partial.write_bytes(content[: len(content) // 2])
                _die()
        write(self, name, content)

    FolderFiles.write = call  # type: ignore[method-assign]


def _around_announcements(before: Callable[[], object], after: Callable[[], object]) -> None:
    """Call a function before each announcement, and one after it."""
    from stream_app.trainer.announcer import Announcer

    announce = Announcer.announce

    async def call(self: Announcer, announcement: Any) -> None:
        before()
        await announce(self, announcement)
        after()

    Announcer.announce = call  # type: ignore[method-assign]


def _hold(released: Path) -> None:
    """Read nothing from the logs after some records until there is the file."""
    from stream_app.trainer import active_trainer

    active_trainer._FETCH_RECORDS = HELD_AFTER // 3  # type: ignore[misc]
    turn = active_trainer.ActiveTrainer._turn

    is_released = released.exists

    async def call(self: Any) -> None:
        consumer = self._consumer
        if is_released():
            consumer.resume(*consumer.paused())
        elif sum(self._positions.values()) >= HELD_AFTER:
            consumer.pause(*consumer.assignment())
        await turn(self)

    active_trainer.ActiveTrainer._turn = call  # type: ignore[method-assign]


def main(fault: str) -> None:
    """Run a trainer with the fault."""
    moment, _, released = fault.partition(":")
    announced: list[bool] = []

    def on_announced() -> None:
        announced.append(True)

    if moment == "announcing":
        _around_announcements(lambda: announced and _die(), on_announced)
    elif moment == "writing":
        _die_in_second_file(lambda name: name.endswith(".safetensors"))
    elif moment == "held":
        _hold(Path(released))
    else:
        _around_announcements(lambda: None, on_announced)
        _die_in_second_file(lambda name: bool(announced) and name.endswith(".snapshot"))
    from stream_app.__main__ import main as run

    sys.argv = ["headrace", "trainer"]
    run()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(_SCRIPT).parents[2]))
    main(sys.argv[1])
