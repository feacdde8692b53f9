"""A server and shops of a federation, in threads on loopback."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from stream_app.federation.accounting import shop_epsilon
from stream_app.federation.coordinator import Coordinator
from stream_app.federation.credentials import Credentials
from stream_app.federation.flower import Connection, FederationServer
from stream_app.federation.shop import Shop
from stream_app.federation.terms import PrivacyRecord
from stream_app.federation.updates import Privacy
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE, TrainedShop

PRIVACY: Final = Privacy(clip=0.5, noise=8.0)
TIMEOUT: Final = 60.0


def read_credentials(folder: Path, name: str, root: Path | None = None) -> Credentials:
    """The files of `write_certificates` for the server or a shop."""
    return Credentials(
        (folder / f"{name}.pem").read_bytes(),
        (folder / f"{name}.key").read_bytes(),
        ((root or folder) / "root.pem").read_bytes(),
    )


class Task(threading.Thread):
    """A thread whose error is raised by `result`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._call = (function, arguments)
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        function, arguments = self._call
        try:
            self._result = function(*arguments)
        except BaseException as error:  # noqa: BLE001  # raised by `result`
            self._error = error

    def result(self) -> Any:
        """What the function returned."""
        self.join(TIMEOUT)
        assert not self.is_alive(), "the thread did not end"
        if self._error is not None:
            raise self._error
        return self._result


def make_shop(folder: Path, name: str, privacy: Privacy = PRIVACY) -> Shop:
    training = TrainedShop(n_sessions=60).training
    record = PrivacyRecord(folder / f"{name}.privacy.json")
    return Shop(training, "", privacy, record, shop_epsilon, max_epsilon=100.0)


def make_coordinator(folder: Path, rounds: int = 2, privacy: Privacy = PRIVACY) -> Coordinator:
    parameters = TwoTowerTraining(SHAPE, CONFIG).dense_parameters()
    return Coordinator(parameters, "", privacy, folder / "shared.safetensors", rounds, steps=2)


class RunningServer:
    """A server that runs its rounds in a thread; without credentials in plaintext."""

    def __init__(
        self,
        coordinator: Coordinator,
        credentials: Credentials | None = None,
        shops: int = 2,
        port: int = 0,
        join_timeout: float = TIMEOUT,
    ) -> None:
        self.coordinator = coordinator
        self.server = FederationServer(
            f"localhost:{port}",
            credentials,
            coordinator,
            shops=shops,
            least=2,
            round_timeout=TIMEOUT,
            join_timeout=join_timeout,
        )
        self.address = f"localhost:{self.server.port}"
        self.rounds: list[list[str]] = []
        self._task = Task(self.server.run, lambda _number, names: self.rounds.append(sorted(names)))

    def result(self) -> None:
        """Wait for the end of the rounds."""
        try:
            self._task.result()
        finally:
            self.server.close()


def join(address: str, credentials: Credentials | None, shop: Shop, timeout: float = TIMEOUT) -> Task:
    """Let a shop take part, in a thread; its result is the last shared parameters."""
    return Task(Connection(address, credentials, timeout).take_part, shop)


def results(tasks: Sequence[Task]) -> list[Any]:
    return [task.result() for task in tasks]
