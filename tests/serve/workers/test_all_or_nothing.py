"""A change that some workers can do and one cannot, in a real server: only that process has the fault."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.serve import models
from tests.serve.workers.running import WORKERS, children, connections, workers
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
    """The process has as many descriptors as it may, so that it can read no folder and no model."""
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (1, limits[1]))
    try:
        yield
    finally:
        if process.is_running():
            process.rlimit(psutil.RLIMIT_NOFILE, limits)


def test_an_alias_that_one_worker_cannot_change_stays_what_it_was_for_all(
    folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with workers(folder, "--state", str(state)) as server, connections(server) as asked:
        # Where that worker, and no other, writes the new file.
        hindrance = state / f".aliases.json.{children(server)[-1].pid}"
        changes = (("2", "1", "PUT"), ("1", "2", "PUT"), ("2", "1", "PUT"), ("1", "2", "DELETE"))
        for each, (before, after, method) in zip(asked, changes, strict=True):
            hindrance.mkdir(parents=True)
            status, answer = each.ask(ALIAS, f'{{"version": "{after}"}}', method)
            assert status >= 400
            assert answer["error"].endswith("a worker refused this, which is undone where it was done")
            assert [each.infer()[1]["model_version"] for each in asked] == [before] * len(asked)
            hindrance.rmdir()
            assert each.ask(ALIAS, f'{{"version": "{after}"}}', method)[0] == 200
            assert [each.infer()[1]["model_version"] for each in asked] == [after] * len(asked)


def test_a_model_that_one_worker_cannot_load_is_served_by_none(folder: Path) -> None:
    ready = "/v2/models/other/ready"
    with workers(folder) as server, connections(server) as asked:
        assert asked[0].ask("/v2/repository/models/other/unload", "{}")[0] == 200
        with unable_to_open_files(children(server)[-1]):
            for each in asked:
                status, answer = each.ask("/v2/repository/models/other/load", "{}")
                assert status >= 400
                assert answer["error"].endswith("a worker refused this, which is undone where it was done")
                assert [each.ask(ready)[0] for each in asked] == [503] * len(asked)
        assert asked[0].ask("/v2/repository/models/other/load", "{}")[0] == 200
        assert [each.ask(ready)[0] for each in asked] == [200] * len(asked)


def test_a_worker_that_cannot_load_what_the_others_serve_is_replaced(folder: Path) -> None:
    with workers(folder) as server, connections(server) as asked:
        before = children(server)
        models.put(folder, "double", models.model(TRIPLE), "2")
        with unable_to_open_files(before[-1]):
            status, answer = asked[0].ask("/v2/repository/models/double/load", "{}")
            assert status >= 400
            assert answer["error"].endswith(f"done by 1 of {WORKERS} workers; new ones replace the others")

            # No new connection is the old worker's from now on.
            with connections(server, 4 * WORKERS) as fresh:
                answers = [each.infer()[1]["outputs"][0]["data"] for each in fresh]
            assert answers == [[3.0, 6.0, 9.0]] * len(fresh)
            until(lambda: before[-1] not in children(server) and len(children(server)) == WORKERS)
        assert set(before[:-1]) < set(children(server))

        def both_answer() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                answers = [each.infer()[1]["outputs"][0]["data"] for each in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert answers == [[3.0, 6.0, 9.0]] * len(fresh)
            return f"adaptact_workers {WORKERS}.0" in text

        until(both_answer)


def test_a_new_worker_is_told_each_setting_of_the_log_that_was_changed(folder: Path) -> None:
    with workers(folder) as server, connections(server) as asked:
        for change in ('{"log_info": false}', '{"log_warning": false}'):
            assert asked[0].ask("/v2/logging", change)[0] == 200
        victim = children(server)[-1]
        victim.send_signal(signal.SIGKILL)
        until(lambda: victim not in children(server) and len(children(server)) == WORKERS)

        def both_answer() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                found = [each.ask("/v2/logging")[1] for each in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert not any(each["log_info"] or each["log_warning"] for each in found)
            return f"adaptact_workers {WORKERS}.0" in text

        until(both_answer)
