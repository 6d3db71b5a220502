import re
from pathlib import Path

import orjson
import pytest

from serve.rest.access import right_for
from serve.rest.app import create_app
from serve.rest.drift import DriftLimits
from serve.settings import Settings
from serve.shared.drift import SharedDrift
from serve.shared.worker_group import WorkerGroup
from tests.serve.drift.files import Watched, draw
from tests.serve.in_process import Client
from tests.serve.pages import read_page


@pytest.fixture
def client(watched: Watched, tmp_path: Path) -> Client:
    workers = WorkerGroup()
    drift = SharedDrift(*watched, workers)
    return Client(create_app(watched.engine, Settings(models=tmp_path), workers, drift=drift))


def _ask(client: Client, watched: Watched, shift: float) -> None:
    values = (draw(640, 1) + shift).tolist()
    for start in range(0, 640, 16):
        body = {"instances": values[start : start + 16]}
        assert client.post("/v1/models/net:predict", body).status_code == 200
    watched.monitor.count_now()


def test_all_versions_are_summed_up(client: Client, watched: Watched) -> None:
    _ask(client, watched, 1.0)
    answer = client.get("/adaptact/v1/drift").json()
    net, plain = answer["models"]
    assert (net["model"], net["version"], net["verdict"], net["rows"]) == ("net", "1", "drifted", 640)
    assert plain["verdict"] == "no baseline"
    assert answer["limits"]["psi"] == [0.1, 0.25]


@pytest.mark.parametrize(
    "path", ["/adaptact/v1/models/net/drift", "/adaptact/v1/models/net/versions/1/drift"]
)
def test_a_version_shows_its_distributions(client: Client, watched: Watched, path: str) -> None:
    _ask(client, watched, 0.0)
    report = client.get(path).json()["report"]
    assert report["verdict"] == "stable"
    first = report["series"][0]
    assert (first["role"], first["tensor"], first["column"]) == ("input", "x", None)
    assert len(first["live"]) == len(first["baseline"]) == len(first["edges"]) + 1
    assert sum(first["live"]) == pytest.approx(1)


def test_unknown_versions_are_not_found(client: Client) -> None:
    assert client.get("/adaptact/v1/models/absent/drift").status_code == 404
    assert client.get("/adaptact/v1/models/net/versions/7/drift").status_code == 404


def test_before_anything_is_counted_the_answer_is_json(client: Client) -> None:
    report = orjson.loads(client.get("/adaptact/v1/models/net/drift").content)["report"]
    assert report["verdict"] == "waiting"
    assert report["series"][0]["psi"] is None


def test_without_drift_there_are_no_routes(watched: Watched, tmp_path: Path) -> None:
    client = Client(create_app(watched.engine, Settings(models=tmp_path)))
    assert client.get("/adaptact/v1/drift").status_code == 404
    assert client.get("/adaptact/v1/models/net/drift").status_code == 404


def test_the_page_has_every_path_and_limit(client: Client) -> None:
    page = read_page("drift")
    described = [path for path in client.get("/openapi.json").json()["paths"] if path.endswith("/drift")]
    documented = re.findall(r"`GET (/adaptact/[^`]*)`", page)
    paths = [re.sub(r"\[.*?\]", "", path) for path in documented]
    paths += [re.sub(r"\[(.*?)\]", r"\1", path) for path in documented if "[" in path]
    assert sorted(paths) == sorted(described)
    limits = DriftLimits()
    assert f"| PSI | {limits.psi[0]:g}, {limits.psi[1]:g} |" in page
    assert f"| KS | {limits.ks[0]:g}, {limits.ks[1]:g} |" in page
    assert f"| outside | {limits.outside[0]:g}, {limits.outside[1]:g} more" in page
    assert f"fewer than {limits.rows} live rows" in page
    assert f"share a probability of 1 in {1 / limits.alarms_per_day:g} for a day" in page


def test_distributions_of_traffic_are_for_who_reads_metrics() -> None:
    for path in (
        "/adaptact/v1/drift",
        "/adaptact/v1/models/a/drift",
        "/adaptact/v1/models/a/versions/1/drift\n",
    ):
        assert right_for("GET", path) == "metrics"
