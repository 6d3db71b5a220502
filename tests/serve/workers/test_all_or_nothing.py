"""Changes that one worker of a real server cannot make: only that process has the fault."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.serve import models
from tests.serve.workers.running import WORKERS, Connection, children, connections, workers
from tests.waiting import until

TRIPLE = "triple (float[N, 3] x) => (float[N, 3] y) { d = Add(x, x) y = Add(d, x) }"
ALIAS = "/adaptact/v1/models/double/aliases/stable"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for version in ("1", "2"):
        models.put(folder, "double", models.model(models.DOUBLE), version)
    models.put(folder, "other", models.model(models.LOG))
    return folder


@contextmanager
def unable_to_open_files(process: psutil.Process) -> Iterator[None]:
    """The process cannot open files: it reads no model and writes no alias."""
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (1, limits[1]))
    try:
        yield
    finally:
        if process.is_running():
            process.rlimit(psutil.RLIMIT_NOFILE, limits)


@pytest.mark.slow
def test_an_alias_that_one_worker_cannot_change_stays_for_all(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with workers(folder, "--state", str(state)) as server, connections(server) as clients:
        changes = (("2", "1", "PUT"), ("1", "2", "PUT"), ("2", "1", "PUT"), ("1", "2", "DELETE"))
        for client, (before, after, method) in zip(clients, changes, strict=True):
            body = f'{{"version": "{after}"}}'
            with unable_to_open_files(children(server)[-1]):
                status, answer = client.ask(ALIAS, body, method)
                assert status >= 400
                assert answer["error"].endswith("a worker refused this, which is undone where it was done")
                assert_served(clients, before)
            assert client.ask(ALIAS, body, method)[0] == 200
            assert_served(clients, after)


def assert_served(clients: Sequence[Connection], version: str) -> None:
    answers = [client.infer()[1] for client in clients]
    assert [answer.get("model_version", answer) for answer in answers] == [version] * len(clients)


@pytest.mark.slow
def test_a_model_that_one_worker_cannot_load_is_served_by_none(folder: Path) -> None:
    ready = "/v2/models/other/ready"
    with workers(folder) as server, connections(server) as clients:
        assert clients[0].ask("/v2/repository/models/other/unload", "{}")[0] == 200
        with unable_to_open_files(children(server)[-1]):
            for client in clients:
                status, answer = client.ask("/v2/repository/models/other/load", "{}")
                assert status >= 400
                assert answer["error"].endswith("a worker refused this, which is undone where it was done")
                assert [client.ask(ready)[0] for client in clients] == [503] * len(clients)
        assert clients[0].ask("/v2/repository/models/other/load", "{}")[0] == 200
        assert [client.ask(ready)[0] for client in clients] == [200] * len(clients)


@pytest.mark.slow
def test_a_worker_that_cannot_load_a_served_model_is_replaced(folder: Path) -> None:
    with workers(folder) as server, connections(server) as clients:
        before = children(server)
        models.put(folder, "double", models.model(TRIPLE), "2")
        with unable_to_open_files(before[-1]):
            status, answer = clients[0].ask("/v2/repository/models/double/load", "{}")
            assert status >= 400
            assert answer["error"].endswith(f"done by 1 of {WORKERS} workers; new ones replace the others")

            # No new connection is the old worker's from now on.
            with connections(server, 4 * WORKERS) as fresh:
                answers = [client.infer()[1]["outputs"][0]["data"] for client in fresh]
            assert answers == [[3.0, 6.0, 9.0]] * len(fresh)
            until(lambda: before[-1] not in children(server) and len(children(server)) == WORKERS)
        assert set(before[:-1]) < set(children(server))

        def all_answer() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                answers = [client.infer()[1]["outputs"][0]["data"] for client in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert answers == [[3.0, 6.0, 9.0]] * len(fresh)
            return f"adaptact_workers {WORKERS}.0" in text

        until(all_answer)


@pytest.mark.slow
def test_a_new_worker_has_the_changed_log_settings(folder: Path) -> None:
    with workers(folder) as server, connections(server) as clients:
        for change in ('{"log_info": false}', '{"log_warning": false}'):
            assert clients[0].ask("/v2/logging", change)[0] == 200
        victim = children(server)[-1]
        victim.send_signal(signal.SIGKILL)
        until(lambda: victim not in children(server) and len(children(server)) == WORKERS)

        def all_answer() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                settings = [client.ask("/v2/logging")[1] for client in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert not any(setting["log_info"] or setting["log_warning"] for setting in settings)
            return f"adaptact_workers {WORKERS}.0" in text

        until(all_answer)
