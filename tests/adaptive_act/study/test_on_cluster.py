"""Runs as machines of a cluster do them, in this process; `tests/cluster` has a real cluster."""

import json
import pickle
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adaptive_act.errors import DataError, StudyError
from adaptive_act.study import Architecture, DataSpec, on_cluster, study
from adaptive_act.study.execute import execute_trial
from adaptive_act.study.on_cluster import SharedWork, collect_code, run_elsewhere
from adaptive_act.study.plan import make_run_spec
from tests.adaptive_act.study.models import plan


class PickledTasks:
    """A cluster whose machines have nothing but what they are sent, and finish the last task first."""

    def __init__(self) -> None:
        self.done = 0

    def map(self, task: Any, shared: object, items: Sequence[object], most: int | None) -> Iterator[Any]:
        for item in reversed(items):
            self.done += 1
            finished = pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps((shared, item))))))
            assert list(finished.files)[-1].endswith(".json")  # what makes a run count is written last
            yield item, finished


@pytest.mark.slow
def test_the_results_are_those_of_a_local_study(tmp_path: Path) -> None:
    asked = plan("PReLU", seeds=2, rates=(1e-3, 1e-2))
    study(asked, tmp_path / "here", jobs=1)
    cluster = PickledTasks()
    study(asked, tmp_path / "there", cluster=cluster)  # type: ignore[arg-type]
    here, there = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("here", "there"))
    assert here == there
    names = [{path.name for path in (tmp_path / name / "runs").iterdir()} for name in ("here", "there")]
    assert names[0] == names[1]
    done = cluster.done
    study(asked, tmp_path / "there", cluster=cluster)  # type: ignore[arg-type]
    assert cluster.done == done


def test_a_node_without_the_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "name_node", lambda: "ab12")
    asked = plan()
    spec = make_run_spec(asked, "digest", "PReLU", 0, DataSpec(str(tmp_path / "nothing.npz")))
    with pytest.raises(DataError, match=r"on node ab12: .*nothing\.npz.* have to be on every node"):
        run_elsewhere(SharedWork(execute_trial, {}), spec)


def test_a_node_with_another_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "name_node", lambda: "ab12")
    work = SharedWork(execute_trial, {}, {"torch": "0.1"})
    with pytest.raises(StudyError, match=r"node ab12 has torch .*, expected 0\.1; install the same"):
        run_elsewhere(work, make_run_spec(plan(), "digest", "PReLU", 0))


def test_code_is_on_a_node_only_while_it_runs() -> None:
    code = {"own_of_the_test.py": b"", "deep_of_the_test/__init__.py": b""}
    there: list[list[str]] = []

    def execute(spec: object, folder: Path) -> tuple[str, None]:
        there.append(sorted(path.name for path in on_cluster._make_code_folder().iterdir()))
        return "key", None

    for _ in range(2):
        run_elsewhere(SharedWork(execute, code), make_run_spec(plan(), "digest", "PReLU", 0))
    assert there == [["deep_of_the_test", "own_of_the_test.py"]] * 2
    assert list(on_cluster._make_code_folder().iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module and a package of the user's own."""
    (tmp_path / "own_network_of_the_test.py").write_text("def make(): ...\n")
    (tmp_path / "own_loops_of_the_test" / "deep").mkdir(parents=True)
    for name in ("__init__.py", "loops.py", "deep/steps.py", "data.bin"):
        (tmp_path / "own_loops_of_the_test" / name).write_text("def train(): ...\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if "of_the_test" in name]:
        del sys.modules[name]


def test_code_in_the_working_folder_is_sent_with_its_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = collect_code(
        ["own_network_of_the_test:make", "own_loops_of_the_test.loops:train", "torch.nn:ReLU"]
    )
    assert sorted(code) == [
        *(f"own_loops_of_the_test/{name}" for name in ("__init__.py", "deep/steps.py", "loops.py")),
        "own_network_of_the_test.py",
    ]
    monkeypatch.setattr(on_cluster, "CODE_BYTES", 20)
    with pytest.raises(StudyError, match=r"code to send has .* bytes, at most 20; install it on every node"):
        collect_code(["own_loops_of_the_test.loops:train"])


def test_a_node_with_other_code_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "name_node", lambda: "ab12")
    asked = plan()
    object.__setattr__(asked, "architecture", Architecture("own_network_of_the_test:make"))
    spec = make_run_spec(asked, "digest", "PReLU", 0)
    object.__setattr__(spec, "code_digest", "another")
    with pytest.raises(StudyError, match="node ab12 has another version of the code of `own_network"):
        run_elsewhere(SharedWork(execute_trial, {}), spec)
