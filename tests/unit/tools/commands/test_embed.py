"""``headrace embed`` and ``headrace embed plot``, as processes and in this one."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.tools.cli.embed import EmbedOptions
from stream_app.tools.commands import embed
from tests.support.small_networks import write_image_network


def write_shop(folder: Path, count: int) -> None:
    (folder / "pictures").mkdir()
    write_image_network(folder / "cnn.onnx")
    with (folder / "catalog.jsonl").open("w") as catalog:
        for number in range(count):
            stream = io.BytesIO()
            values = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(values).save(stream, "JPEG")
            (folder / "pictures" / f"i{number}.jpg").write_bytes(stream.getvalue())
            entry = {
                "item_id": f"i{number}",
                "ts": number,
                "title": "red tent",
                "categories": [f"c{number % 3}"],
            }
            catalog.write(json.dumps({"type": "catalog"} | entry if number % 2 else entry) + "\n")


def options(folder: Path, **changes: Any) -> EmbedOptions:
    given = {
        "context": None,
        "catalog": folder / "catalog.jsonl",
        "output": folder / "out.jsonl",
        "images": folder / "pictures",
        "encoder": str(folder / "cnn.onnx"),
    }
    return EmbedOptions(**(given | changes))


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "embed", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env=ENVIRONMENT,
    )


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1", "TERM": "dumb"}
ARGUMENTS = (
    "--catalog",
    "catalog.jsonl",
    "--output",
    "out.jsonl",
    "--images",
    "pictures",
    "--encoder",
    "cnn.onnx",
)


def test_pictures_and_texts_are_encoded_and_plotted(tmp_path: Path) -> None:
    write_shop(tmp_path, 12)
    with (tmp_path / "catalog.jsonl").open("a") as catalog:
        catalog.write('{"type":"click","event_id":"e","user_id":"u","ts":1,"item_id":"i1"}\n')
        catalog.write('{"type":"catalog","item_id":"no time"}\n\nno JSON\n')
    (tmp_path / "pictures" / "i3.jpg").write_bytes(b"no picture")
    result = run(tmp_path, *ARGUMENTS, "--text-encoder", "wordllama", "--report", "report.json")
    assert result.returncode == 0, result.stderr
    assert "12 catalog entries" in result.stdout
    assert "Pictures: 11 encoded, 0 known already, 0 missing, 1 unreadable." in result.stdout
    assert "Texts: 1 encoded, 11 known already, 0 empty." in result.stdout
    assert "1 rows that are no catalog entry, 2 unreadable rows" in result.stdout
    assert "line 4, item i3: picture: no picture" in result.stderr
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [event["item_id"] for event in events] == [f"i{number}" for number in range(12)]
    assert {event["type"] for event in events} == {"catalog"}
    assert ["image_embedding" in event for event in events] == [number != 3 for number in range(12)]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["pictures_unreadable"] == 1

    result = run(tmp_path, "plot", "out.jsonl", "--field", "image", "--output", "plot.png")
    assert result.returncode == 0, result.stderr
    assert "11 items in plot.png" in result.stdout
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupt_keeps_what_is_computed_and_writes_no_half_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shop(tmp_path, 10)
    encode = OnnxImageEncoder.encode
    runs = 0

    def encode_twice(encoder: OnnxImageEncoder, pictures: list[Matrix]) -> Matrix:
        nonlocal runs
        runs += 1
        if runs == 4:  # the first one is that of the constructor
            raise KeyboardInterrupt
        return encode(encoder, pictures)

    monkeypatch.setattr(OnnxImageEncoder, "encode", encode_twice)
    with pytest.raises(typer.Exit) as stopped:
        embed.run(options(tmp_path, batch=2))
    assert stopped.value.exit_code == 130
    told = capsys.readouterr().err
    assert "Interrupted after 4 pictures and 0 texts" in told
    assert "goes on from there" in told
    assert not list(tmp_path.glob("out.jsonl*unfinished"))
    assert not (tmp_path / "out.jsonl").exists()

    monkeypatch.setattr(OnnxImageEncoder, "encode", encode)
    embed.run(options(tmp_path, batch=2))
    assert "Pictures: 6 encoded, 4 known already" in capsys.readouterr().out
    resumed = (tmp_path / "out.jsonl").read_bytes()
    embed.run(options(tmp_path, batch=2, output=tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_bytes() == resumed


def test_pictures_without_a_direction_are_reported_and_set_no_directions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shop(tmp_path, 12)
    write_image_network(tmp_path / "cnn.onnx", scale=float("nan"))
    embed.run(options(tmp_path, dimensions=3))
    told = capsys.readouterr().err
    assert "No embedding for the pictures of 12 entries" in told
    assert "Pictures: 0 different ones are too few" in told
    assert not list((tmp_path / "out.jsonl.vectors").glob("*.npz"))
    assert all("image_embedding" not in line for line in (tmp_path / "out.jsonl").read_text().splitlines())


def test_a_killed_run_goes_on_and_has_the_output_of_one_that_was_not(tmp_path: Path) -> None:
    write_shop(tmp_path, 1_000)
    whole = tmp_path / "whole.jsonl"
    embed.run(options(tmp_path, output=whole))
    record = (
        sum(path.stat().st_size for path in (tmp_path / "whole.jsonl.vectors").glob("*.vectors")) // 1_000
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "embed", *ARGUMENTS], cwd=tmp_path, env=ENVIRONMENT
    )
    store = tmp_path / "out.jsonl.vectors"
    deadline = time.monotonic() + 120
    while sum(path.stat().st_size for path in store.glob("*.vectors")) < 50 * record:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out.jsonl").exists()
    result = run(tmp_path, *ARGUMENTS)
    assert result.returncode == 0, result.stderr
    known = re.search(r"(\d+) known already", result.stdout)
    assert known is not None
    assert int(known.group(1)) >= 50
    assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()


def test_runs_with_other_outputs_share_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shop(tmp_path, 8)
    for name in ("monday.jsonl", "tuesday.jsonl"):
        embed.run(options(tmp_path, output=tmp_path / name, store=tmp_path / "store", dimensions=2))
    assert "Pictures: 0 encoded, 8 known already" in capsys.readouterr().out
    assert (tmp_path / "monday.jsonl").read_bytes() == (tmp_path / "tuesday.jsonl").read_bytes()


def test_a_compressed_catalog_is_read(tmp_path: Path) -> None:
    write_shop(tmp_path, 2)
    (tmp_path / "catalog.gz").write_bytes(gzip.compress((tmp_path / "catalog.jsonl").read_bytes()))
    embed.run(options(tmp_path, catalog=tmp_path / "catalog.gz", limit=1))
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"catalog": None}, "--catalog FILE"),
        ({"images": None}, "both --images DIR and --encoder"),
        ({"images": None, "encoder": None}, "--text-encoder for texts"),
        ({"catalog": Path("absent.jsonl")}, "There is no file absent.jsonl"),
        ({"output": Path("absent/out.jsonl")}, "--output absent/out.jsonl cannot be written"),
    ],
)
def test_wrong_options_are_reported(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_shop(tmp_path, 1)
    with pytest.raises(UserError, match=message):
        embed.run(options(tmp_path, **changes))


def test_the_catalog_is_not_overwritten(tmp_path: Path) -> None:
    write_shop(tmp_path, 1)
    with pytest.raises(UserError, match="is the catalog itself"):
        embed.run(options(tmp_path, output=tmp_path / "catalog.jsonl"))


def embeddings(path: Path) -> list[list[float]]:
    return [json.loads(line)["image_embedding"] for line in path.read_text().splitlines()]


def test_vectors_are_shortened_by_the_fit_of_the_first_run(tmp_path: Path) -> None:
    write_shop(tmp_path, 12)
    embed.run(options(tmp_path, dimensions=3))
    first = embeddings(tmp_path / "out.jsonl")
    assert {len(each) for each in first} == {3}
    assert np.abs(np.mean(first, axis=0)).max() < 0.5  # centered; the network's vectors all point one way
    with (tmp_path / "catalog.jsonl").open("a") as catalog:
        catalog.write('{"item_id":"new","ts":1}\n')
    (tmp_path / "pictures" / "new.jpg").write_bytes((tmp_path / "pictures" / "i3.jpg").read_bytes())
    embed.run(options(tmp_path, dimensions=3))
    assert embeddings(tmp_path / "out.jsonl") == [*first, first[3]]


def test_a_part_of_the_catalog_sets_no_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shop(tmp_path, 12)
    embed.run(options(tmp_path, dimensions=3, limit=6))
    assert "fitted to 6 different ones" in capsys.readouterr().err
    embed.run(options(tmp_path, dimensions=3))
    assert "fitted to 12 different ones" in capsys.readouterr().err


def test_too_few_items_are_written_in_full_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shop(tmp_path, 5)
    embed.run(options(tmp_path, dimensions=3))
    assert "too few" in capsys.readouterr().err
    assert {len(each) for each in embeddings(tmp_path / "out.jsonl")} == {4}
    embed.run(options(tmp_path, dimensions=0))
    assert "too few" not in capsys.readouterr().err


def test_a_catalog_that_outgrew_its_directions_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shop(tmp_path, 40)
    lines = (tmp_path / "catalog.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "small.jsonl").write_text("".join(lines[:4]))
    embed.run(options(tmp_path, catalog=tmp_path / "small.jsonl", dimensions=2))
    before = embeddings(tmp_path / "out.jsonl")
    embed.run(options(tmp_path, dimensions=2))
    assert embeddings(tmp_path / "out.jsonl")[:4] == before
    [path] = (tmp_path / "out.jsonl.vectors").glob("*.npz")
    assert f"remove {path}" in capsys.readouterr().err
    path.unlink()
    embed.run(options(tmp_path, dimensions=2))
    assert "fitted to 40 different ones" in capsys.readouterr().err
    embed.run(options(tmp_path, dimensions=2))
    assert "remove" not in capsys.readouterr().err
