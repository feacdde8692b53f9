"""Two shops and a server over Flower, on loopback: TLS, what travels, who may join, and what is refused."""

import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.federation.accounting import shop_epsilon
from stream_app.federation.certificates import write_certificates
from stream_app.federation.flower import Connection, FederationServer
from stream_app.federation.shop import Shop
from stream_app.federation.terms import Release, Terms
from stream_app.federation.updates import Privacy, norm_of
from tests.federated.federation import (
    PRIVACY,
    TIMEOUT,
    RunningServer,
    join,
    make_coordinator,
    make_shop,
    read_credentials,
    results,
)
from topics.records import Kind

NAMES = ("north", "south", "east")
SHORT_SECONDS = 3.0
"""Long enough to reach a server on loopback, if its certificates are accepted."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ["localhost"], NAMES)
    return folder


@pytest.fixture(scope="module")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    write_certificates(folder, ["localhost"], NAMES)
    return folder


def test_shops_learn_together_over_tls(tmp_path: Path, certificates: Path) -> None:
    coordinator = make_coordinator(tmp_path)
    before = coordinator.parameters
    server = RunningServer(coordinator, read_credentials(certificates, "server"))
    shops = {name: make_shop(tmp_path, name) for name in NAMES[:2]}
    tasks = [join(server.address, read_credentials(certificates, name), shop) for name, shop in shops.items()]
    last = results(tasks)
    server.result()
    assert server.rounds == [["north", "south"], ["north", "south"]]
    assert last[0] == last[1] == coordinator.tensors()
    change = {name: coordinator.parameters[name] - values for name, values in before.items()}
    size = sum(values.size for values in before.values())
    # the noise of two rounds and two shops: each has the deviation 8 times .5, divided by 2
    assert norm_of(change) == pytest.approx(PRIVACY.noise * PRIVACY.clip * np.sqrt(size), rel=0.1)
    for shop in shops.values():
        assert shop.n_rounds == 2
        assert shop.epsilon == shop_epsilon([Release(PRIVACY.noise, 2)])


class Relay:
    """Passes bytes on between a shop and a server, and remembers them by connection and direction."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.seen: list[bytearray] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                shop, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(shop,), daemon=True))
                self._threads[-1].start()

    def _serve(self, shop: socket.socket) -> None:
        with shop, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pass_on, args=(server, shop), daemon=True)
            back.start()
            self._pass_on(shop, server)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        stream = bytearray()
        self.seen.append(stream)
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                stream += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
        for thread in self._threads:
            thread.join(TIMEOUT)


def secretive(shop: Shop, name: str) -> Shop:
    """Let a shop learn sequences of users and items with names that are easily found."""
    for user in range(30):
        for n in range(8):
            training, item = shop.training, f"secret-item-{name}-{(user + n) % 12}"
            training.add(f"secret-user-{name}-{user}", item, Kind.VIEW, 1.7e9 + 7_200.0 * user + 40.0 * n)
    return shop


@pytest.mark.parametrize("privacy", [PRIVACY, Privacy(clip=1e6, noise=0.0)])
def test_no_id_no_event_and_no_item_vector_travels(tmp_path: Path, privacy: Privacy) -> None:
    server = RunningServer(make_coordinator(tmp_path, privacy=privacy))
    relay = Relay(server.address)
    shops = [secretive(make_shop(tmp_path, name, privacy), name) for name in NAMES[:2]]
    for shop in shops:
        shop._max_epsilon = float("inf")
    results([join(relay.address, None, shop) for shop in shops])
    server.result()
    relay.close()
    seen = b"|".join(relay.seen)
    # what is looked for would be found: the shared parameters did travel
    assert server.coordinator.tensors()[0][:64] in seen
    assert b"secret" not in seen
    for shop in shops:
        training = shop.training
        state = training.buffer.state()
        for sequence in [*state.newest, *state.open]:
            assert sequence.user_hash.to_bytes(8, "little") not in seen
            assert sequence.items.tobytes() not in seen
            assert sequence.times.tobytes() not in seen
        for vector in training.vectors[: training.items.size]:
            assert vector[:4].tobytes() not in seen


@pytest.mark.parametrize("side", ["shop", "server", "plaintext"])
def test_a_shop_and_a_server_of_other_certificates_do_not_meet(
    tmp_path: Path, certificates: Path, other_certificates: Path, side: str
) -> None:
    server = RunningServer(
        make_coordinator(tmp_path), read_credentials(certificates, "server"), join_timeout=30.0
    )
    credentials = {
        "shop": read_credentials(other_certificates, "north", root=certificates),
        "server": read_credentials(certificates, "north", root=other_certificates),
        "plaintext": None,
    }[side]
    shop = make_shop(tmp_path, "north")
    with pytest.raises(UserError, match=r"server at localhost"):
        Connection(server.address, credentials, SHORT_SECONDS).take_part(shop)
    assert shop.n_rounds == 0
    assert server.rounds == []
    server.server.close()


def test_a_certificate_joins_once(tmp_path: Path, certificates: Path) -> None:
    server = RunningServer(make_coordinator(tmp_path), read_credentials(certificates, "server"))
    north = read_credentials(certificates, "north")
    tasks = [join(server.address, north, make_shop(tmp_path, f"copy-{n}")) for n in range(2)]
    refused = None
    while refused is None:
        refused = next((task for task in tasks if not task.is_alive()), None)
        tasks[0].join(0.05)
    with pytest.raises(UserError, match="same certificate"):
        refused.result()
    south = join(server.address, read_credentials(certificates, "south"), make_shop(tmp_path, "south"))
    server.result()
    assert server.rounds[-1] == ["north", "south"]
    results([south, *(task for task in tasks if task is not refused)])


class LeavingShop(Shop):
    """Leaves in the middle of the first round."""

    def answer(self, terms: Terms, tensors: Sequence[bytes]) -> list[bytes]:
        super().answer(terms, tensors)
        raise UserError("The shop has a power cut.")


class PoisoningShop(Shop):
    """Sends what no honest shop sends."""

    poison = "large"

    def answer(self, terms: Terms, tensors: Sequence[bytes]) -> list[bytes]:
        update = super().answer(terms, tensors)
        match self.poison:
            case "large":
                return [np.full(len(each) // 4, 1e6, np.float32).tobytes() for each in update]
            case "nan":
                return [np.full(len(each) // 4, np.nan, np.float32).tobytes() for each in update]
            case "short":
                return update[:3]
            case _:
                return [b"\x93NUMPY\x01\x00v\x00{'shape': (99999999999,)}"] * len(update)


def as_class(shop: Shop, kind: type[Shop]) -> Shop:
    shop.__class__ = kind
    return shop


def test_the_others_go_on_when_a_shop_leaves_in_a_round(tmp_path: Path, certificates: Path) -> None:
    server = RunningServer(make_coordinator(tmp_path), read_credentials(certificates, "server"), shops=3)
    shops = {name: make_shop(tmp_path, name) for name in NAMES}
    as_class(shops["east"], LeavingShop)
    tasks = [join(server.address, read_credentials(certificates, name), shop) for name, shop in shops.items()]
    with pytest.raises(UserError, match="power cut"):
        tasks[2].result()
    results(tasks[:2])
    server.result()
    assert server.rounds == [["north", "south"], ["north", "south"]]


@pytest.mark.parametrize("poison", ["large", "nan", "short", "numpy"])
def test_a_dishonest_update_is_refused_and_the_others_go_on(
    tmp_path: Path, certificates: Path, poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    coordinator = make_coordinator(tmp_path, rounds=1, privacy=Privacy(clip=0.5, noise=0.0))
    before = coordinator.parameters
    server = RunningServer(coordinator, read_credentials(certificates, "server"), shops=3)
    shops = {name: make_shop(tmp_path, name, Privacy(clip=0.5, noise=0.0)) for name in NAMES}
    as_class(shops["east"], PoisoningShop).poison = poison  # type: ignore[attr-defined]
    for shop in shops.values():
        shop._max_epsilon = float("inf")
    tasks = [join(server.address, read_credentials(certificates, name), shop) for name, shop in shops.items()]
    results(tasks)
    server.result()
    assert server.rounds == [["north", "south"]]
    assert norm_of({name: coordinator.parameters[name] - before[name] for name in before}) <= 0.51
    assert "refusing the update of shop east" in caplog.text


def test_a_shop_goes_on_with_a_server_that_was_restarted(tmp_path: Path, certificates: Path) -> None:
    credentials = read_credentials(certificates, "server")
    coordinator = make_coordinator(tmp_path, rounds=40)
    server = RunningServer(coordinator, credentials)
    shops = {name: make_shop(tmp_path, name) for name in NAMES[:2]}
    for shop in shops.values():
        shop._max_epsilon = float("inf")
    tasks = [join(server.address, read_credentials(certificates, name), shop) for name, shop in shops.items()]
    while not server.rounds:
        tasks[0].join(0.02)
    server.server.close()
    with contextlib.suppress(UserError):
        server.result()
    n_rounds = coordinator.n_rounds
    assert 0 < n_rounds < 40
    again = make_coordinator(tmp_path, rounds=n_rounds + 2)
    assert again.n_rounds == n_rounds
    restarted = RunningServer(again, credentials, port=server.server.port)
    last = results(tasks)
    restarted.result()
    assert len(restarted.rounds) == 2
    assert last[0] == last[1] == again.tensors()


def test_missing_shops_are_one_sentence(tmp_path: Path) -> None:
    server = RunningServer(make_coordinator(tmp_path), join_timeout=0.2)
    with pytest.raises(UserError, match="0 of 2 shops joined"):
        server.result()


@pytest.mark.parametrize("name", ["server", "north"])
def test_a_server_that_cannot_listen_is_one_sentence(tmp_path: Path, certificates: Path, name: str) -> None:
    credentials = read_credentials(certificates, "server")
    occupied = socket.create_server(("127.0.0.1", 0))
    if name == "north":
        address, credentials = (
            "localhost:0",
            credentials._replace(private_key=read_credentials(certificates, "north").private_key),
        )
    else:
        address = f"127.0.0.1:{occupied.getsockname()[1]}"
    with contextlib.closing(occupied), pytest.raises(UserError, match="cannot listen"):
        FederationServer(
            address,
            credentials,
            make_coordinator(tmp_path),
            shops=2,
            least=2,
            round_timeout=1.0,
            join_timeout=1.0,
        )
