"""Certificates of a federation as files."""

from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.federation.certificates import write_certificates
from stream_app.tools.cli.federate import FederationCertificatesOptions
from stream_app.tools.commands import federate


def test_certificates_are_written_once_and_keys_are_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = FederationCertificatesOptions(
        folder=tmp_path / "certs", host=["localhost", "127.0.0.1"], shop=["north"]
    )
    federate.run_certificates(options)
    names = {path.name for path in (tmp_path / "certs").iterdir()}
    assert names == {"root.pem", "server.pem", "server.key", "north.pem", "north.key"}
    assert set(capsys.readouterr().out.split()) == {str(tmp_path / "certs" / name) for name in names}
    assert (tmp_path / "certs" / "north.key").stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="exists already"):
        federate.run_certificates(options)


@pytest.mark.parametrize("name", ["server", "root", "../north", ""])
def test_a_shop_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--shop"):
        federate.run_certificates(
            FederationCertificatesOptions(folder=tmp_path, host=["localhost"], shop=[name])
        )


def test_the_certificates_of_two_runs_differ(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_certificates(tmp_path / folder, ["localhost"], ["north"])
    assert (tmp_path / "one" / "root.pem").read_bytes() != (tmp_path / "two" / "root.pem").read_bytes()
