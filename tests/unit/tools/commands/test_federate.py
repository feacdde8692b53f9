"""``headrace federate``: what it refuses, before Flower is needed and without it."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import UserError
from stream_app.models.two_tower_network import Head
from stream_app.settings import Settings
from stream_app.tools.cli.federate import (
    FederationClientOptions,
    FederationServerOptions,
)
from stream_app.tools.commands import federate
from stream_app.tools.commands.federate_data import choices, learn, read_shop
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE
from topics.records import Kind


@pytest.fixture
def _any_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Flower was installed: options are checked before anything of it is used."""
    monkeypatch.setattr(federate, "_import_flower", lambda: None)


def server_options(folder: Path, **changes: Any) -> FederationServerOptions:
    return FederationServerOptions(model=folder / "shared.safetensors", **changes)


def client_options(folder: Path, **changes: Any) -> FederationClientOptions:
    return FederationClientOptions(output=folder / "checkpoint.safetensors", **changes)


@pytest.mark.usefixtures("_any_flower")
def test_no_noise_is_refused_unless_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--without-noise"):
        federate.run_server(server_options(tmp_path, noise=0.0, insecure=True))
    with pytest.raises(UserError, match="--without-noise"):
        federate.run_client(client_options(tmp_path, noise=0.0, insecure=True))


@pytest.mark.usefixtures("_any_flower")
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_clip_and_noise_are_numbers(tmp_path: Path, value: float) -> None:
    with pytest.raises(UserError, match="--noise"):
        federate.run_server(server_options(tmp_path, noise=value, insecure=True))
    with pytest.raises(UserError, match="--clip"):
        federate.run_client(client_options(tmp_path, clip=value, insecure=True))


@pytest.mark.usefixtures("_any_flower")
def test_plaintext_is_refused_unless_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--private-key, --root-certificate missing"):
        federate.run_server(server_options(tmp_path, certificate=tmp_path / "server.pem"))
    with pytest.raises(UserError, match="--private-key, --root-certificate missing"):
        federate.run_client(client_options(tmp_path, certificate=tmp_path / "north.pem"))


@pytest.mark.usefixtures("_any_flower")
def test_certificates_with_insecure_are_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not both"):
        federate.run_server(server_options(tmp_path, insecure=True, certificate=tmp_path / "server.pem"))


@pytest.mark.usefixtures("_any_flower")
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_is_no_certificate_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_bytes(content)
    options = server_options(tmp_path, certificate=path, private_key=path, root_certificate=path)
    with pytest.raises(UserError, match=r"--certificate .*server\.pem"):
        federate.run_server(options)


@pytest.mark.parametrize("side", ["server", "client"])
def test_without_flower_the_command_says_how_to_install_it(tmp_path: Path, side: str) -> None:
    named = ["--model"] if side == "server" else ["--output"]
    result = subprocess.run(
        # as in an environment without it, whatever this one has
        [
            sys.executable,
            "-c",
            (
                "import sys; sys.modules['flwr'] = sys.modules['grpc'] = None; "
                "from stream_app.__main__ import main; main()"
            ),
            "federate",
            side,
            *named,
            str(tmp_path / "file.safetensors"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "pip install 'headrace[federated]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_session_file_is_split_by_time(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(f'["a{n}", "b{n}"]\n' for n in range(10)))
    data = read_shop(client_options(tmp_path, train=path), Settings())
    learned, newest = data.split(0.1)
    assert [each.item_id for each in newest] == ["a9", "b9"]
    training = TwoTowerTraining(SHAPE, CONFIG)
    learn(training, learned)
    assert training.n_interactions == 18
    [choice] = choices(training, newest)
    assert (list(choice.item_ids), choice.chosen_id, choice.head) == (["a9"], "b9", Head.VIEW)


def test_an_event_log_is_folded_as_in_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"type": "catalog", "item_id": "pan", "ts": 1700000000000, "text_embedding": [0.6, 0.8]}\n'
        '{"type": "click", "event_id": "1", "user_id": "ann", "ts": 1700000001000, "item_id": "pan"}\n'
        '{"type": "click", "event_id": "1", "user_id": "ann", "ts": 1700000001000, "item_id": "pan"}\n'
        '{"type": "purchase", "event_id": "2", "user_id": "ann", "ts": 1700000002000, "order_id": "2", '
        '"items": [{"item_id": "pot"}]}\n'
    )
    data = read_shop(client_options(tmp_path, events=path), Settings())
    assert [(each.item_id, each.kind) for each in data.interactions] == [
        ("pan", Kind.VIEW),
        ("pot", Kind.PURCHASE),
    ]
    assert [entry.item_id for entry in data.entries] == ["pan"]
    assert data.content.parts[0].name == "text"


@pytest.mark.parametrize("names", [[], ["train", "events"]])
def test_a_shop_names_its_data_in_one_way(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match="either as --train"):
        read_shop(client_options(tmp_path, **dict.fromkeys(names, tmp_path / "data")), Settings())


def test_a_shop_without_interactions_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text('["a"]\n')
    with pytest.raises(UserError, match="too few interactions"):
        read_shop(client_options(tmp_path, train=path), Settings())
