"""The wheel headrace-client, used by a Python that has its three dependencies and nothing else."""

import importlib.util
import json
import shutil
import subprocess
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from stream_app.client.redis_contract import encode_list, user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support import ROOT
from tests.support.integration_environment import clean_environment
from topics.catalog import IMPRESSIONS
from topics.events import Impression
from topics.records import ListedItem, Reason, RecommendationList

DEPENDENCIES = ("redis", "msgspec", "kafka-python")
HEAVY = ("faust", "numba", "numpy", "river", "aiokafka", "pydantic_settings", "typer", "prometheus_client")

PROGRAM = """
import importlib.util, json, sys

from stream_app.client import Client, ImpressionReporter

redis_url, broker, *heavy_packages = sys.argv[1:]
kafka_imported_early = "kafka" in sys.modules
with Client(redis_url, timeout=60.0, reporter=ImpressionReporter(broker)) as client:
    document = client.read("ann")
    reported = client.report_impression("ann", document, ["i2", "i1"], surface="home")
heavy = [name for name in heavy_packages if importlib.util.find_spec(name) is not None]
items = [item.id for item in document.items]
print(json.dumps({"items": items, "reported": reported, "heavy": heavy, "early": kafka_imported_early}))
"""


@pytest.fixture(scope="module")
def build_wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_wheels", ROOT / "deploy" / "build_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheel(build_wheels: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    build_wheels.build_client(ROOT, folder)
    [wheel] = folder.glob("headrace_client-*.whl")
    return Path(wheel)


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel and, copied from this one, the packages that it requires."""
    folder = tmp_path_factory.mktemp("web-tier")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for name in DEPENDENCIES:
        for file in metadata.files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(str(file.locate())), site / file)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder / "bin" / "python"


def test_the_wheel_requires_three_packages_and_holds_no_worker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [description] = [name for name in names if name.endswith("/METADATA")]
        text = archive.read(description).decode()
    required = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("Requires-Dist")]
    assert {requirement.partition(">")[0] for requirement in required} == set(DEPENDENCIES)
    packages = {name.rpartition("/")[0] for name in names if not name.startswith("headrace_client-")}
    assert packages == {"stream_app", "stream_app/client", "stream_app/kafka", "topics"}
    assert "stream_app/py.typed" in names


def test_it_reads_a_list_and_reports_an_impression_with_nothing_else_installed(
    bare_python: Path, servers: EmbeddedServers, tmp_path: Path
) -> None:
    document = RecommendationList(
        list_id="l1",
        key=user_key("ann"),
        generated_at="2026-01-01T00:00:00.000Z",
        policy="fixed",
        model_version=1,
        items=tuple(ListedItem(name, 0.5, 1.0, Reason("popular", segment="all")) for name in ("i1", "i2")),
    )
    with clean_environment(servers, tmp_path) as environment:
        environment.redis.set(user_key("ann"), encode_list(document))
        done = subprocess.run(
            [
                bare_python,
                "-I",
                "-c",
                PROGRAM,
                environment.settings.redis,
                environment.settings.broker,
                *HEAVY,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "items": ["i1", "i2"],
            "reported": True,
            "heavy": [],
            "early": False,
        }
        records = environment.read(IMPRESSIONS.name)
    [impression] = [msgspec.json.decode(record.value or b"", type=Impression) for record in records]
    assert (impression.user_id, impression.items, impression.list_id) == ("ann", ["i2", "i1"], "l1")


def test_the_files_of_the_client_are_found_by_its_imports(build_wheels: ModuleType, tmp_path: Path) -> None:
    for name, text in {
        "stream_app/__init__.py": "",
        "stream_app/py.typed": "",
        "stream_app/client/__init__.py": "from stream_app.kafka import sender\nimport redis\n",
        "stream_app/kafka/__init__.py": "",
        "stream_app/kafka/sender.py": "def send():\n    from topics.events import Click\n",
        "stream_app/kafka/unused.py": "import faust\n",
        "topics/__init__.py": "",
        "topics/events.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [str(file) for file in build_wheels.client_files(tmp_path)] == [
        "stream_app/__init__.py",
        "stream_app/client/__init__.py",
        "stream_app/kafka/__init__.py",
        "stream_app/kafka/sender.py",
        "stream_app/py.typed",
        "topics/__init__.py",
        "topics/events.py",
    ]
    shutil.rmtree(tmp_path / "stream_app" / "client")
    with pytest.raises(LookupError, match=r"no package stream_app\.client"):
        build_wheels.client_files(tmp_path)
