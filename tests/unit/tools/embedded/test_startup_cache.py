from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.embedded import broker as broker_module
from stream_app.tools.embedded import startup_cache
from stream_app.tools.embedded.broker import EmbeddedBroker
from stream_app.tools.embedded.kafka_runtime import KafkaRuntime

MakeRuntime = Callable[[str], KafkaRuntime]


@pytest.fixture
def make_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRuntime:
    """A runtime whose Java has a file with its version."""

    def make(release: str) -> KafkaRuntime:
        java = tmp_path / "java-runtime" / "bin" / "java"
        java.parent.mkdir(parents=True)
        (java.parents[1] / "release").write_text(release)
        home = tmp_path / "kafka"
        (home / "formatted").mkdir(parents=True)
        runtime = KafkaRuntime(java=java, lib=home / "lib", formatted=home / "formatted")
        for module in (broker_module, startup_cache):
            monkeypatch.setattr(module, "kafka_runtime", lambda _progress: runtime)
        return runtime

    return make


def command(folder: Path) -> list[str]:
    """The command of a broker that is not started."""
    broker = EmbeddedBroker()
    folder.mkdir()
    broker._folder, broker._port = folder, 21_000
    return [str(part) for part in broker._command(lambda _message: None)]


def record(written: list[Path], monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
    """Write a file where Java would, without a broker."""

    def write(target: Path) -> None:
        target.write_bytes(b"classes")
        written.append(target)
        if fails:
            raise UserError("Kafka exited during startup.")

    monkeypatch.setattr(startup_cache, "_run_broker", write)


def test_brokers_start_from_the_file_that_was_prepared(
    make_runtime: MakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = make_runtime('IMPLEMENTOR="x"\nJAVA_RUNTIME_VERSION="25.0.2+10-LTS"\n')
    assert not [part for part in command(tmp_path / "before") if "AOT" in part]
    written: list[Path] = []
    record(written, monkeypatch)
    startup_cache.prepare()
    startup_cache.prepare()
    assert len(written) == 1, "the second call finds the file"
    [file] = runtime.lib.parent.glob("*.aot*")
    assert file.name == "startup-java-25.0.2+10-LTS.aot"
    assert f"-XX:AOTCache={file}" in command(tmp_path / "after")


def test_a_file_is_not_used_before_it_is_complete(
    make_runtime: MakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = make_runtime('JAVA_VERSION="25.0.2"')
    written: list[Path] = []
    record(written, monkeypatch, fails=True)
    with pytest.raises(UserError):
        startup_cache.prepare()
    assert written
    assert list(runtime.lib.parent.glob("*.aot*")) == []
    assert not [part for part in command(tmp_path / "server") if "AOT" in part]


@pytest.mark.parametrize("release", ['JAVA_VERSION="21.0.6"', 'JAVA_VERSION="ea"', ""])
def test_other_versions_of_java_start_without_a_file(
    make_runtime: MakeRuntime, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_runtime(release)
    written: list[Path] = []
    record(written, monkeypatch)
    startup_cache.prepare()
    assert written == []
    assert not [part for part in command(tmp_path / "server") if "AOT" in part]
