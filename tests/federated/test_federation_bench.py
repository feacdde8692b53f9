"""The benchmark of federations compares the ways of learning on the same choices."""

from pathlib import Path

import pytest

from stream_app.tools.bench.federation import main


def test_each_way_is_measured_on_a_session_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(f"[{n % 7}, {n % 7 + 1}, {n % 7 + 2}]\n" for n in range(140)))
    main(path, limit=110, validation_tail=30, shops=2, rounds=2, steps=1, noise=[8.0])
    output = capsys.readouterr().out
    for name in (
        "isolated",
        "isolated, half of the steps",
        "federated",
        "federated, clip 1, noise 8",
        "pooled",
    ):
        assert f"│ {name} " in output


def test_sessions_are_protected_in_the_generated_shop(capsys: pytest.CaptureFixture[str]) -> None:
    main(
        limit=400,
        validation_tail=60,
        shops=2,
        rounds=2,
        steps=1,
        noise=[],
        session_noise=[1.0],
        session_sample=8,
        session_rounds=2,
    )
    output = capsys.readouterr().out
    assert "contents alone, DP-SGD, noise 1 " in output
    assert "contents alone, DP-SGD, noise 1, then alone" in output
