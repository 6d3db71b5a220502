"""The tasks of a cluster, with a Ray that loses what it is told to; `tests/cluster` has a real one."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from adaptact import cluster
from adaptact.cluster import TRIES, TaskCluster, open_cluster
from adaptact.errors import ClusterError
from adaptact.options import name_cluster


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Ray:
    """It does tasks when their results are asked for, and the last ones first; `lost` says which are lost."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, lost: Callable[[Any], bool] = lambda item: False) -> None:
        self.lost = lost
        self.most = 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: object) -> object:
        return value

    def remote(self, **options: object) -> Callable[[Callable[..., Any]], Any]:
        return lambda do: SimpleNamespace(remote=lambda *given: SimpleTask(do, given))

    def wait(self, tasks: Sequence["SimpleTask"], **options: object) -> tuple[list["SimpleTask"], list[Any]]:
        self.most = max(self.most, len(tasks))
        return [tasks[-1]], []

    def get(self, task: "SimpleTask") -> object:
        if self.lost(task.given[-1]):
            raise RayError("its node died")
        try:
            return task.do(*task.given)
        except ValueError as error:
            raise RayTaskError(error) from error


class SimpleTask:
    def __init__(self, do: Callable[..., Any], given: Sequence[Any]) -> None:
        self.do, self.given = do, given


def scale(factor: int, item: int) -> int:
    if item < 0:
        raise ValueError(f"{item} is below 0")
    return factor * item


def test_every_item_has_one_result_though_tasks_are_lost() -> None:
    lost = [3, 3, 7, 9, 9, 9, 9]

    def lose(item: int) -> bool:
        is_lost = item in lost
        if is_lost:
            lost.remove(item)
        return is_lost

    ray = Ray(lose)
    results = list(TaskCluster(ray).map(scale, 10, range(20)))
    assert sorted(results) == [(item, 10 * item) for item in range(20)]
    assert ray.most == 4  # two for each core
    assert list(TaskCluster(ray).map(scale, 10, [])) == []


def test_a_task_that_is_always_lost_ends_the_work() -> None:
    with pytest.raises(ClusterError, match=rf"was begun {TRIES} times, .*: its node died"):
        list(TaskCluster(Ray(lambda item: item == 2)).map(scale, 1, range(5), most=1))


def test_an_error_of_the_task_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^-1 is below 0$") as caught:
        list(TaskCluster(Ray()).map(scale, 1, [1, -1]))
    assert isinstance(caught.value.__cause__, RayTaskError)  # which says where in the task


def test_nodes_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "name_node", lambda: "ab12")
    with pytest.raises(ClusterError, match=r"node ab12 has adaptact .*, and this command is 0\.0\.1"):
        cluster._do("0.0.1", scale, 1, 1)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:99999", "head..lab:1", "auto"]
)
def test_an_address_at_which_nothing_listens_is_refused_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ClusterError, match="there is no cluster at") as caught, open_cluster(address):
        pass
    assert "ray start --head" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ""),
        ("--cluster", "--cluster=auto"),
        ("--cluster m.onnx in.csv", "--cluster=auto m.onnx in.csv"),
        ("--cluster head:6379 m.onnx", "--cluster head:6379 m.onnx"),
        ("--cluster ray://head:10001", "--cluster ray://head:10001"),
        ("--cluster [::1]:6379 -q", "--cluster [::1]:6379 -q"),
        ("--cluster auto x --cluster -q", "--cluster auto x --cluster=auto -q"),
        ("--cluster=head:1 in.csv", "--cluster=head:1 in.csv"),
    ],
)
def test_the_address_of_the_cluster_may_be_left_out(words: str, expected: str) -> None:
    assert name_cluster(words.split()) == expected.split()
