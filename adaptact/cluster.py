"""Tasks on a Ray cluster: each is done on one core of some machine, and again where its machine is lost.

Ray is imported where a cluster is opened, and its reports to its maker are off.
"""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from adaptact import __version__
from adaptact.errors import ClusterError
from adaptact.installation import install_line

TRIES = 5
"""How often a task is begun, if its process or machine is lost each time."""
TASKS_A_CORE = 2
"""So many wait on each core, so that none is idle while a result is kept."""
LOOK_SECONDS = 0.5
CONNECT_SECONDS = 10.0
HOW_TO_BEGIN = "`ray start --head` begins one, `ray start --address HOST:6379` on other machines joins it"
AUTO = "auto"

_Shared = TypeVar("_Shared")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class TaskCluster:
    """A cluster that this process is connected to."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    @property
    def cores(self) -> int:
        """How many cores the machines have that are there now."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def map(
        self,
        task: Callable[[_Shared, _Item], _Result],
        shared: _Shared,
        items: Sequence[_Item],
        most: int | None = None,
    ) -> Iterator[tuple[_Item, _Result]]:
        """Each item with `task(shared, item)`, in the order they come; at most `most` are done at once.

        `task` is a function of a module, which is done in processes of the cluster. An error of the task
        ends the work with that error. Raises `ClusterError` for one whose process or machine was lost TRIES
        times, and where the cluster itself is.
        """
        ray = self._ray
        do = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_do)
        try:
            sent = ray.put(shared)
            begin = lambda place: do.remote(__version__, task, sent, items[place])  # noqa: E731
            for place, result in self._run(begin, len(items), most):
                yield items[place], result
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Exception) else ClusterError(str(error)) from error
        except ray.exceptions.RayError as error:
            raise ClusterError(f"the cluster is lost: {error}", "start it and this command again") from error

    def _run(self, begin: Callable[[int], Any], count: int, most: int | None) -> Iterator[tuple[int, Any]]:
        """The place and the result of each task, as they end."""
        ray, waiting, running, tries = self._ray, deque(range(count)), dict[Any, int](), Counter[int]()
        while waiting or running:
            limit = max(1, TASKS_A_CORE * self.cores if most is None else most)
            while waiting and len(running) < limit:
                place = waiting.popleft()
                tries[place] += 1
                running[begin(place)] = place
            ended, _ = ray.wait(list(running), num_returns=1, timeout=LOOK_SECONDS)
            for task in ended:
                place = running.pop(task)
                try:
                    result = ray.get(task)
                except ray.exceptions.RayTaskError:
                    raise
                except ray.exceptions.RayError as error:
                    _require_tries(tries[place], error)
                    waiting.appendleft(place)
                    continue
                yield place, result


def connect_ray(address: str, namespace: str | None = None) -> Any:
    """Ray, connected to the cluster at the address; `auto` is that of RAY_ADDRESS, or of this machine.

    Raises `ClusterError` where Ray is not installed, and where no cluster answers.
    """
    _require_listening(address)
    # Ray reports its use to its maker unless it is told not to, before it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Its next release leaves devices alone where none are asked for, as this one does once it is told.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        missing = "a cluster needs `ray`, which is not installed"
        raise ClusterError(missing, install_line("cluster")) from error
    try:
        ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = "on this machine, nor one that RAY_ADDRESS names" if address == AUTO else f"at `{address}`"
        raise ClusterError(f"there is no cluster {where}: {error}", HOW_TO_BEGIN) from error
    return ray


@contextmanager
def open_cluster(address: str) -> Iterator[TaskCluster]:
    """The cluster that `connect_ray` connects to, within the block."""
    ray = connect_ray(address)
    # What Ray has to say of lost nodes it would print among the results, and only this switch stops it.
    ray._private.worker._worker_logs_enabled = False
    try:
        cluster = TaskCluster(ray)
        if not cluster.cores:
            raise ClusterError("the cluster has no cores for tasks", "`ray start --address ...` adds some")
        yield cluster
    finally:
        ray.shutdown()


def name_node() -> str:
    """The id of the node that does this task, as `ray list nodes` has it."""
    import ray  # noqa: PLC0415

    return str(ray.get_runtime_context().get_node_id())[:12]


def _do(version: str, task: Callable[[_Shared, _Item], _Result], shared: _Shared, item: _Item) -> _Result:
    """What a process of the cluster does."""
    if version != __version__:
        raise ClusterError(
            f"node {name_node()} has adaptact {__version__}, and this command is {version}",
            "install the same version on every node",
        )
    return task(shared, item)


def _require_listening(address: str) -> None:
    """Raises `ClusterError` where nothing listens at the address, which Ray would try for many minutes."""
    known = os.environ.get("RAY_ADDRESS", "") if address == AUTO else address
    host, _, port = known.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: no name of a machine
        raise ClusterError(f"there is no cluster at `{known}`: {error}", HOW_TO_BEGIN) from error


def _require_tries(tries: int, error: Exception) -> None:
    if tries >= TRIES:
        raise ClusterError(
            f"a task was begun {tries} times, and each time its process or machine was lost: {error}",
            "perhaps it has too little memory; what is finished is kept",
        )
