"""Names in deploy/ match the code; the tests need no container engine."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.metrics import Metrics
from stream_app.probe_server import serve
from stream_app.settings import Settings, load_settings
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.worker.faust_monitor import ScrapedMonitor
from stream_app.worker.process import STOP_SECONDS
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
YAML_FILES = [path for path in FILES if path.suffix in {".yaml", ".yml"}]
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


COMPOSE = load("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HEADRACE_SERVICES = {name: service for name, service in SERVICES.items() if service["image"] == "headrace"}
WORKERS = {name: service for name, service in HEADRACE_SERVICES.items() if service["command"] == ["worker"]}


def registry() -> CollectorRegistry:
    """The registry of a worker."""
    registry = Metrics().registry
    ScrapedMonitor(registry)
    return registry


def labels_by_sample() -> dict[str, set[str]]:
    """All samples that a worker or a trainer can expose, with their labels."""
    found: dict[str, set[str]] = {}
    collectors = [*registry()._collector_to_names, *TrainerMetrics().registry._collector_to_names]
    for collector in collectors:
        (family,) = collector.describe() if hasattr(collector, "describe") else collector.collect()
        labels = {*getattr(collector, "_labelnames", ()), "instance", "job"}
        if family.type == "counter":
            found[f"{family.name}_total"] = labels
        elif family.type == "histogram":
            found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            found[f"{family.name}_bucket"] = {*labels, "le"}
        else:
            found[family.name] = labels
    return found


SAMPLES = labels_by_sample()
METRIC_NAME = re.compile(r"\b(?:headrace|faust)_[a-z0-9_]+\b")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')


def dashboard(path: Path) -> Any:
    return json.loads(path.read_text())


def panels(board: Any) -> Iterator[Any]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def expressions() -> Iterator[tuple[str, str]]:
    """(location, PromQL) of all panels and rules."""
    for path in DASHBOARDS:
        for panel in panels(dashboard(path)):
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]
    for group in load("prometheus/alerts.yml")["groups"]:
        for rule in group["rules"]:
            yield f"alerts.yml: {rule['alert']}", rule["expr"]


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_is_valid(path: Path) -> None:
    assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_environment_variable_is_a_setting(path: Path) -> None:
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bHEADRACE_[A-Z_]+\b", path.read_text())) <= known


@pytest.mark.parametrize("name", HEADRACE_SERVICES)
def test_service_settings_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in HEADRACE_SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    broker, _, port = load_settings().broker.partition(":")
    assert f"INTERNAL://{broker}:{port}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert load_settings().redis == "redis://redis:6379/0"
    assert "redis" in SERVICES


@pytest.mark.parametrize("name", HEADRACE_SERVICES)
def test_services_run_commands_that_exist(name: str) -> None:
    done = CliRunner().invoke(build_cli(), [*HEADRACE_SERVICES[name]["command"], "--help"])
    assert done.exit_code == 0
    assert "COMMAND [ARGS]" not in done.output


def test_there_are_two_workers_with_a_folder_of_their_own_each() -> None:
    assert len(WORKERS) == 2
    volumes = [tuple(worker["volumes"]) for worker in WORKERS.values()]
    assert len(set(volumes)) == 2
    folder = re.search(r"HEADRACE_DATA_DIR=(\S+)", (DEPLOY / "Dockerfile").read_text())
    assert folder
    assert all(volume.endswith(f":{folder[1]}") for (volume,) in volumes)


@pytest.mark.parametrize("name", SERVICES)
def test_services_refer_to_existing_services_and_volumes(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (DEPLOY / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]
    for condition in service["depends_on"].values() if isinstance(service.get("depends_on"), dict) else ():
        assert condition["condition"] in {"service_healthy", "service_completed_successfully"}


def test_awaited_services_have_a_health_check() -> None:
    for service in SERVICES.values():
        if isinstance(service.get("depends_on"), dict):
            for other, condition in service["depends_on"].items():
                assert condition["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_images_have_a_pinned_version() -> None:
    for service in SERVICES.values():
        assert service["image"] == "headrace" or re.search(r":v?\d+\.\d+", service["image"])


def test_ports_are_published_on_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize(("ready", "status"), [(1, 0), (0, 1)])
def test_the_health_check_succeeds_for_a_ready_worker_only(ready: int, status: int) -> None:
    port = serve(Metrics().registry, {"/readyz": lambda: "" if ready else "starting"}, "127.0.0.1", 0)
    first, *command = next(iter(WORKERS.values()))["healthcheck"]["test"]
    default = Settings.model_fields["metrics_port"].default
    code = command[2].replace(f":{default}/", f":{port}/")
    assert (first, command[:2]) == ("CMD", ["python", "-c"])
    assert code != command[2]
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == status


def test_prometheus_scrapes_every_worker_at_its_metrics_port() -> None:
    port = Settings.model_fields["metrics_port"].default
    (job,) = load("prometheus/prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name in WORKERS]}]
    assert f"EXPOSE {port}\n" in (DEPLOY / "Dockerfile").read_text()
    assert "HEADRACE_METRICS_HOST=0.0.0.0" in (DEPLOY / "Dockerfile").read_text()


def test_prometheus_finds_its_rules() -> None:
    for path in load("prometheus/prometheus.yml")["rule_files"]:
        assert (DEPLOY / "prometheus" / path).is_file()


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_metrics_and_labels_exist(where: str, expression: str) -> None:
    names = set(METRIC_NAME.findall(expression))
    assert names or "up{" in expression, where
    assert names <= SAMPLES.keys(), where
    labels = {label.strip() for group in GROUPING.findall(expression) for label in group.split(",")}
    labels |= set(MATCHER.findall(expression))
    for name in names:
        assert labels <= SAMPLES[name], where


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_counters_are_queried_as_rates_and_gauges_are_not(where: str, expression: str) -> None:
    for call, name in re.findall(r"(?:\b(\w+)\()?\b((?:headrace|faust)_[a-z0-9_]+)\b", expression):
        is_counter = name.endswith(("_total", "_bucket", "_sum", "_count"))
        assert (call in {"rate", "increase"}) == is_counter, where


def test_every_headrace_metric_is_on_the_dashboard() -> None:
    displayed = {
        name for where, text in expressions() if ".json" in where for name in METRIC_NAME.findall(text)
    }
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in displayed}
    headrace_families = {
        re.sub(r"_(total|bucket|sum|count)$", "", name) for name in SAMPLES if name.startswith("headrace_")
    }
    assert headrace_families <= families


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_have_unique_ids_and_do_not_overlap(path: Path) -> None:
    everything = list(panels(dashboard(path)))
    ids = [panel["id"] for panel in everything]
    assert len(ids) == len(set(ids))
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in everything
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(panel["title"] for panel in everything)
    for panel in everything:
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(references) == len(set(references))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_panel_is_described(path: Path) -> None:
    assert [
        panel["title"]
        for panel in panels(dashboard(path))
        if panel["type"] != "row" and not panel.get("description")
    ] == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_use_the_provisioned_data_source(path: Path) -> None:
    (source,) = load("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    board = dashboard(path)
    used = [*panels(board), *board["templating"]["list"]]
    used += [target for panel in panels(board) for target in panel.get("targets", ())]
    assert {
        item["datasource"]["uid"] for item in used if item["type" if "type" in item else "refId"] != "row"
    } == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert set(METRIC_NAME.findall(board["templating"]["list"][0]["definition"])) <= SAMPLES.keys()


def test_grafana_finds_its_dashboards() -> None:
    mounts = dict(volume.split(":")[:2][::-1] for volume in SERVICES["grafana"]["volumes"])
    (provider,) = load("grafana/provisioning/dashboards/headrace.yaml")["providers"]
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert home.name in {path.name for path in DASHBOARDS}


def test_the_image_copies_existing_files_allowed_by_dockerignore() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    seen = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(seen)
    for source in copied:
        assert (ROOT / source).exists()


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert users[-1] != "root"
    assert f"--create-home {users[-1]}" in (DEPLOY / "Dockerfile").read_text()


def runtime_requirements() -> dict[str, Any]:
    return runpy.run_path(str(DEPLOY / "runtime_requirements.py"))


def test_the_image_installs_a_subset_of_the_pins_with_all_their_hashes() -> None:
    script = runtime_requirements()
    pinned = (ROOT / "constraints.txt").read_text()
    chosen = script["selection"](pinned, ["Typing_Extensions", "numpy", "faust.streaming"])
    assert set(chosen.splitlines()) <= set(pinned.splitlines())
    assert re.findall(r"^[a-z]\S+?(?===)", chosen, re.MULTILINE) == [
        "faust-streaming",
        "numpy",  # for 3.11
        "numpy",  # for later ones
        "typing-extensions",
    ]
    assert chosen.count("--hash=sha256:") > 4
    assert "--hash" not in script["versions"](pinned)
    assert len(script["versions"](pinned).splitlines()) == len(re.findall(r"==\d", pinned))


def test_a_dependency_without_a_pin_is_named() -> None:
    with pytest.raises(LookupError, match="does not pin nosuchpackage; run `make lock`"):
        runtime_requirements()["selection"]("a==1 \\\n    --hash=sha256:00\n", ["a", "nosuchpackage"])


def test_a_container_may_stop_for_as_long_as_the_worker_takes() -> None:
    assert WORKERS
    for worker in WORKERS.values():
        assert int(str(worker["stop_grace_period"]).removesuffix("s")) > STOP_SECONDS
