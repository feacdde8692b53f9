"""Secrets that Docker or Kubernetes mounts as files, and that no message contains."""

from pathlib import Path

import pytest

from stream_app.settings import SettingsError, child_environment, load_settings, without_password
from topics.secret import Secret

URL = "redis://:geheim@cache:6379/0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "redis-url"
    monkeypatch.setenv("HEADRACE_REDIS_FILE", str(path))
    return path


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_is_read_from_the_file_that_its_variable_names(file: Path, end: str) -> None:
    file.write_text(URL + end, newline="")
    assert load_settings().redis == URL


def test_an_override_wins_over_a_file(file: Path) -> None:
    file.write_text(URL)
    assert load_settings(redis="redis://other:6379").redis == "redis://other:6379"


def test_empty_variables_are_no_variables(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(URL)
    monkeypatch.setenv("HEADRACE_REDIS", "")
    assert load_settings().redis == URL
    monkeypatch.setenv("HEADRACE_REDIS_FILE", "")
    monkeypatch.setenv("HEADRACE_REDIS", "redis://other:6379")
    assert load_settings().redis == "redis://other:6379"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"", "is empty."),
        (b"\n", "is empty."),
        (b"geheim \xff", "is not a text in UTF-8."),
        (b"geheim" * 100_000, "has more than 65,536 bytes and is no secret."),
    ],
)
def test_an_unusable_file_is_one_sentence_without_its_content(
    file: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value) == f"HEADRACE_REDIS_FILE: {file} {message}"


def test_a_folder_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_REDIS_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings()


def test_a_variable_beside_its_file_is_rejected(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(URL)
    monkeypatch.setenv("HEADRACE_REDIS", URL)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value) == "HEADRACE_REDIS and HEADRACE_REDIS_FILE are both set: unset one of them."


def test_only_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_LIST_LENGTH_FILE", "/run/length")
    with pytest.raises(SettingsError, match="HEADRACE_LIST_LENGTH_FILE is not a setting"):
        load_settings()


def test_a_child_process_gets_a_secret_and_not_the_file_that_it_replaces(file: Path) -> None:
    environment = child_environment(redis=Secret(URL))
    assert environment["HEADRACE_REDIS"] == URL
    assert "HEADRACE_REDIS_FILE" not in environment
    assert child_environment(broker="b:1")["HEADRACE_REDIS_FILE"] == str(file)


@pytest.mark.parametrize(
    ("url", "displayed"),
    [
        (URL, "redis://cache:6379/0"),
        ("rediss://shop:geheim@cache:6379/0", "rediss://cache:6379/0"),
        ("redis://cache/0?username=shop&password=geheim", "redis://cache/0?username=shop"),
        ("redis://:gehe/im@cache:6379/0", "redis://..."),
        ("redis://:gehe?im@cache:6379/0", "redis://..."),
        ("redis://:gehe#im@cache:6379/0", "redis://..."),
        ("redis://:[geheim@cache:6379/0", "redis://..."),
        ("s3://bucket/models", "s3://bucket/models"),
        ("build/models", "build/models"),
        ("many", "many"),
    ],
)
def test_a_url_is_displayed_without_its_password(url: str, displayed: str) -> None:
    assert without_password(url) == displayed
