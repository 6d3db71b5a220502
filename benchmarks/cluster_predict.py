"""`python -m benchmarks.cluster_predict`: a model's file over rows of Parquet, here and on a cluster.

Both ways take turns; what counts is the processor time of all its processes, which other work
on the machine changes little, and the wall-clock time of the fastest turn.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from adaptact.cluster import TaskCluster
from benchmarks.spark_predict import ROWS, write_model, write_rows
from serve.client.batch.offline.cluster import answer_on_cluster
from serve.client.batch.offline.run import AnswerShards, OfflineRequest, answer_in_threads, predict_offline
from tests.replicas.nodes import RayNodes

PAGE = Path(__file__).parents[1] / "docs" / "results" / "cluster_predict.md"
FILES, TURNS, NODES = 4, 3, 2


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder, _open_ray(Path(folder)) as ray:
        model, rows = Path(folder, "mlp.onnx"), Path(folder, "rows")
        write_model(model)
        rows.mkdir()
        write_rows(rows / "0.parquet")
        for number in range(1, FILES):
            shutil.copy(rows / "0.parquet", rows / f"{number}.parquet")
        ways = {
            "this process, one core": lambda: _predict(model, rows, answer_in_threads(1)),
            f"tasks on a cluster of {NODES} nodes of one core": lambda: _predict(
                model, rows, answer_on_cluster(TaskCluster(ray), None)
            ),
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(TURNS + 1):
            for name, way in ways.items():
                spent = _measure(way)
                if turn:  # the first warms processes up
                    measured[name].append(spent)
    _write_page(measured)


@contextmanager
def _open_ray(folder: Path) -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray  # noqa: PLC0415

    with RayNodes(folder, nodes=NODES, cores=1) as nodes:
        ray.init(address=nodes.address, log_to_driver=False)
        try:
            yield ray
        finally:
            ray.shutdown()


def _predict(model: Path, rows: Path, answer: AnswerShards) -> None:
    request = OfflineRequest(model, rows, rows.with_name("answers.npz"), restart=True)
    predict_offline(request, answer, lambda done, rows: None)


def _measure(way: Callable[[], None]) -> tuple[float, float]:
    """The wall-clock time, and the processor time of this process and all that it started."""
    before, start = _sum_cpu(), time.perf_counter()
    way()
    return time.perf_counter() - start, _sum_cpu() - before


def _sum_cpu() -> float:
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            spent = process.cpu_times()
        except psutil.Error:
            continue
        total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def _write_page(measured: dict[str, list[tuple[float, float]]]) -> None:
    rows = ROWS * FILES
    (_, own), *_ = [(name, median(cpu for _, cpu in turns)) for name, turns in measured.items()]
    lines = [
        f"| {name} | {rows / min(wall for wall, _ in turns):,.0f} | {median(cpu for _, cpu in turns):.1f} | "
        f"{median(cpu for _, cpu in turns) / own:.2f} |"
        for name, turns in measured.items()
    ]
    PAGE.write_text(
        f"""# Predictions on a cluster

`make bench-cluster-predict` writes this page: {rows:,} rows of 16 numbers in {FILES} Parquet files, a
perceptron with 256 hidden units, batches of 32. Ray {version("ray")}, Python {platform.python_version()},
{os.cpu_count()} cores, all nodes on one machine, which other work may have shared: compare processor times.
{TURNS} turns each, the ways by turns.

| way | rows/s, fastest turn | processor s, median | of one process |
|---|---|---|---|
{chr(10).join(lines)}

The processor time is of all processes, Ray's own included, which need some of it even when nothing is done.
On more machines each core adds its rows/s, as long as this one, which writes all answers, and the folder that
all read from keep up.
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
