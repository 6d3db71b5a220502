"""What docs/observability.md says is so, and what Prometheus and Grafana are given asks for what is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import httpx
import numpy as np
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from serve.drift.judging import judge
from serve.drift.measuring import DriftMetrics
from serve.drift.plan import Plan
from serve.drift.watcher import SampleCounts
from serve.engine.choosing.collector import ProviderCollector
from serve.engine.metrics import Reason
from serve.engine.model import ServedModel
from serve.observe.access_log import SAFE_ID
from serve.settings import Settings
from serve.sources.metrics import SERIES, SourceCollector
from tests.serve import models
from tests.serve.drift.files import NET, draw, read
from tests.serve.pages import read_page
from tests.serve.process import ServerProcess

DOCKER = Path(__file__).parents[2] / "docker"
ALERTS = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboard.json").read_text())
PAGE = read_page("observability")
HISTOGRAM = ("_bucket", "_sum", "_count")
# What Prometheus adds to what it reads, and the client library to a counter.
OF_PROMETHEUS = {"up", "instance", "job", "le"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its two first lines."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = re.search(r"(^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Each series of a real server, by its name as it is asked for, and its labels."""
    folder = tmp_path_factory.mktemp("shown")
    models.put(folder, "double", models.model(models.DOUBLE))
    with ServerProcess("--models", str(folder), "--triton-metrics") as server:
        httpx.post(server.url + "/v1/models/double:predict", json={"instances": [[1, 2, 3]]})
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(httpx.get(server.url + "/metrics").text):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    found.setdefault(sample.name, set()).update(sample.labels)
        yield found


def list_drift() -> dict[str, set[str]]:
    """The same of the series of drift, with a version that drifts."""
    baseline = read(NET, draw(200))
    tallies = np.full((len(baseline.series), Plan(baseline).width), 600)
    drift = DriftMetrics(CollectorRegistry(), lambda: {("net", "1"): SampleCounts(3, 4)})
    drift.reports = [judge("net", "1", baseline, tallies, 60.0)]
    families = list(drift.collect())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_the_table_of_drift_has_every_series_and_its_labels() -> None:
    documented = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows("Drift")}
    assert documented == list_drift()


def list_source(folder: Path) -> dict[str, set[str]]:
    """The same of the source of models, which other servers do not have."""
    families = SourceCollector(folder).collect()
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_the_table_of_the_source_has_every_series(tmp_path: Path) -> None:
    documented = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows("Source of models")}
    assert documented == list_source(tmp_path)
    assert set(documented) == set(SERIES)


def list_choice() -> dict[str, set[str]]:
    """The same of the times by which `--provider auto` has chosen, which other servers do not have."""
    candidate = SimpleNamespace(provider="cpu", threads=1, microseconds=(2.0,))
    choice = SimpleNamespace(batches=(1,), candidates=(candidate,))
    model = SimpleNamespace(name="net", version="1", provider="cpu", threads=1, choice=choice)
    families = ProviderCollector(lambda: [cast(ServedModel, model)]).collect()
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.mark.slow
def test_the_tables_have_every_series_and_its_labels(shown: dict[str, set[str]]) -> None:
    documented = {}
    for row in rows("Metrics") + rows("Triton's names"):
        documented[row[0].strip("`")] = set(re.findall(r"`(\w+)`", row[1]))
    families: dict[str, set[str]] = {}
    for name, labels in shown.items():
        if not name.startswith("process_"):
            is_histogram = name.endswith(HISTOGRAM) and "nv_" not in name
            family = re.sub("_(bucket|sum|count)$", "", name) if is_histogram else name
            families.setdefault(family, set()).update(labels - {"le"})
    assert documented == families | list_choice()


def test_the_table_of_reasons_has_every_reason() -> None:
    table = PAGE.split("| reason | |\n|---|---|\n")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(get_args(Reason))


def test_the_table_of_alerts_has_every_alert() -> None:
    documented = {row[0].strip("`"): row[2] for row in rows("Alerts")}
    assert documented == {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}


def expressions() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    asked += [each["query"]["query"] for each in DASHBOARD["templating"]["list"]]
    return asked + [rule["expr"] for rule in ALERTS]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_dashboard_use_existing_series(shown: dict[str, set[str]], expression: str) -> None:
    series = set(re.findall(r"\b((?:adaptact|process|nv)_\w+)", expression))
    shown = {**shown, **list_drift(), **list_source(Path())}
    assert series <= set(shown)
    assert series or expression.startswith("up{")
    labels = set(re.findall(r"(\w+)=", expression))
    for names in re.findall(r"by \(([^)]*)\)", expression):
        labels |= set(names.replace(" ", "").split(","))
    known = set().union(*(shown[each] for each in series)) if series else set()
    assert labels <= known | OF_PROMETHEUS
    for reasons in re.findall(r'reason=~"([^"]*)"', expression):
        assert set(reasons.split("|")) <= set(get_args(Reason))
    assert expression.count("(") == expression.count(")")


def test_the_dashboard_reads_the_provided_data_source() -> None:
    [source] = yaml.safe_load((DOCKER / "grafana" / "datasource.yaml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    used |= {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    used |= {each["datasource"]["uid"] for each in DASHBOARD["templating"]["list"]}
    assert used == {source["uid"]}


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.slow
def test_the_line_of_the_log_is_one_that_the_log_writes(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "digits", models.model(models.DOUBLE))
    [text] = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    stated: dict[str, Any] = json.loads(text)
    trace = f"00-{stated['trace_id']}-{stated['parent_id']}-01"
    log = tmp_path / "access.jsonl"
    with ServerProcess("--models", str(tmp_path / "models"), "--access-log", str(log)) as server:
        headers = {"x-request-id": stated["request_id"], "traceparent": trace}
        body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
        httpx.post(server.url + stated["path"], json=body, headers=headers)
        server.stop()
    [line] = [json.loads(each) for each in log.read_text().splitlines()]
    assert list(line) == list(stated)
    differ = {"time", "milliseconds", "caller"}
    assert {name: line[name] for name in line.keys() - differ} == {
        name: stated[name] for name in stated.keys() - differ
    }


def test_an_id_may_be_what_the_page_says() -> None:
    allowed = b"azAZ09._:@/+=-"
    assert SAFE_ID.fullmatch(allowed + b"x" * (128 - len(allowed)))
    assert not SAFE_ID.fullmatch(b"x" * 129)
    assert "up to 128 letters, digits and `._:@/+=-`" in " ".join(PAGE.split())


def test_every_option_and_file_that_is_spoken_of_exists() -> None:
    options = {name.replace("_", "-") for name in Settings.model_fields}
    assert set(re.findall(r"--([a-z][a-z-]+)", PAGE.split("## The access log")[1])) <= options
    for name in re.findall(r"docker/[\w./-]*\w", PAGE):
        assert (DOCKER.parent / name).exists(), name
