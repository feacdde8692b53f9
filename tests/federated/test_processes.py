"""``headrace federate`` as processes: a whole federation, and a server that is stopped in a round."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from stream_app.errors import UserError
from stream_app.federation.certificates import write_certificates
from stream_app.federation.shop import Shop
from stream_app.federation.terms import Terms
from stream_app.models.checkpoint import decode_checkpoint
from tests.federated.federation import TIMEOUT, join, make_shop, read_credentials

NAMES = ("north", "south")


PROCESS_TIMEOUT: Final = 900.0
"""Three processes import and compile; a busy machine takes minutes for it."""


class Processes:
    """Starts ``headrace federate``, and ends what is left at the end of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "federate", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def start_server(self, *options: object) -> tuple["subprocess.Popen[str]", str]:
        """A server on a free port, and its address."""
        write_certificates(self.folder, ["localhost"], NAMES)
        server = self.start(
            "server", "--address", "localhost:0", "--model", self.folder / "shared.safetensors",
            "--without-catalog", *certificate_options(self.folder, "server"), *options,
        )  # fmt: skip
        assert server.stderr is not None
        found = re.match(r"listening at (localhost:\d+), waiting for 2 shops", server.stderr.readline())
        assert found
        return server, found[1]

    def end(self) -> None:
        for process in self._started:
            with process:
                process.kill()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.end()


def certificate_options(folder: Path, name: str) -> list[object]:
    return [
        "--certificate", folder / f"{name}.pem",
        "--private-key", folder / f"{name}.key",
        "--root-certificate", folder / "root.pem",
    ]  # fmt: skip


def test_two_shops_and_a_server_as_processes(processes: Processes) -> None:
    tmp_path = processes.folder
    server, address = processes.start_server("--rounds", 1, "--steps", 2)
    shops = []
    for name in NAMES:
        sessions = tmp_path / f"{name}.jsonl"
        sessions.write_text("".join(f'["{name}-{n % 7}", "{name}-{n % 7 + 1}"]\n' for n in range(200)))
        shops.append(
            processes.start(
                "client", "--address", address, "--train", sessions, "--output", tmp_path / f"{name}.safetensors",
                "--local-steps", 1, "--without-catalog", *certificate_options(tmp_path, name),
            )
        )  # fmt: skip
    for name, shop in zip(NAMES, shops, strict=True):
        output, errors = shop.communicate(timeout=PROCESS_TIMEOUT)
        assert shop.returncode == 0, errors
        assert "gave 1 updates; epsilon of all that this shop gave: 0.926 (delta 1e-05)" in output
        weights, manifest = decode_checkpoint((tmp_path / f"{name}.safetensors").read_bytes())
        assert {item.partition("-")[0] for item in weights.item_ids} == {name}
        assert manifest.steps == 3
        assert f"Hit rate at 20 on the newest 40 interactions: {manifest.hit_rate:.4f}" in output
    output, errors = server.communicate(timeout=TIMEOUT)
    assert server.returncode == 0, errors
    assert "round 1 of 1: 2 updates (north, south)" in errors
    assert "1 rounds; the shared parameters are in" in output


class WaitingShop(Shop):
    """Takes its time for a round."""

    has_begun: threading.Event
    may_end: threading.Event

    def answer(self, terms: Terms, tensors: Sequence[bytes]) -> list[bytes]:  # noqa: ARG002  # as any shop
        self.has_begun.set()
        self.may_end.wait(TIMEOUT)
        raise UserError("The shop leaves.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_is_stopped_in_a_round(processes: Processes, number: signal.Signals) -> None:
    tmp_path = processes.folder
    server, address = processes.start_server()
    tasks, shops = [], []
    for name in NAMES:
        shop = make_shop(tmp_path, name)
        shop.__class__ = WaitingShop
        assert isinstance(shop, WaitingShop)
        shop.has_begun, shop.may_end = threading.Event(), threading.Event()
        shops.append(shop)
        tasks.append(join(address, read_credentials(tmp_path, name), shop))
    assert all(shop.has_begun.wait(TIMEOUT) for shop in shops)
    server.send_signal(number)
    _, errors = server.communicate(timeout=TIMEOUT)
    assert server.returncode == 130
    assert "stopped after 0 rounds; the same command goes on" in errors
    assert "Traceback" not in errors
    for shop, task in zip(shops, tasks, strict=True):
        shop.may_end.set()
        with pytest.raises(UserError, match="leaves"):
            task.result()
