"""`python -m benchmarks.spark_predict PYTHON`: the example of Spark run beside `adaptact predict`.

PYTHON is that of an environment with pyspark, pandas, and adaptact with its extras `serve` and `client`.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper
from pyarrow import parquet

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "spark_predict.md"
ROWS, FEATURES, HIDDEN, CLASSES = 200_000, 16, 256, 10
MASTER = "local[2]"


def main() -> None:
    """Write the page; fails where an answer differs."""
    python = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        model, rows, answers = (Path(folder, name) for name in ("mlp.onnx", "rows.parquet", "answers"))
        write_model(model)
        write_rows(rows)
        spark_seconds = run_spark(python, model, rows, answers)
        start = time.perf_counter()
        target = Path(folder, "own.npz")
        words = [str(model), str(rows), "-o", str(target), "--quiet"]
        subprocess.run([python.with_name("adaptact"), "predict", *words], check=True)
        own_seconds = time.perf_counter() - start
        compare(answers, target)
    write_page(python, spark_seconds, own_seconds)


def write_model(path: Path) -> None:
    """A perceptron with one hidden layer."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(FEATURES, HIDDEN)).astype(np.float32) / 4
    second = rng.normal(size=(HIDDEN, CLASSES)).astype(np.float32) / 16
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "first"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "second"], ["y"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def write_rows(path: Path) -> None:
    """Rows of normal numbers, and their places."""
    x = np.random.default_rng(1).normal(size=(ROWS, FEATURES)).astype(np.float32)
    lists = pa.ListArray.from_arrays(np.arange(ROWS + 1, dtype=np.int32) * FEATURES, pa.array(x.ravel()))
    table = pa.table({"id": np.arange(ROWS), "x": lists})
    parquet.write_table(table, path, row_group_size=ROWS // 4)


def run_spark(python: Path, model: Path, rows: Path, answers: Path) -> float:
    """The seconds that `spark-submit` takes."""
    program = str(python.with_name("spark-submit"))
    command = [program, "--master", MASTER, "--conf", "spark.ui.enabled=false"]
    # Spark hands over 10,000 rows at a time: a multiple of the batch has the batches of a run without it.
    command += ["--conf", "spark.sql.execution.arrow.maxRecordsPerBatch=8192"]
    command += map(str, (ROOT / "examples" / "spark_predict.py", model, rows, answers))
    environment = os.environ | {"PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    return time.perf_counter() - start


def compare(answers: Path, own: Path) -> None:
    """Fails unless Spark has one answer for each row, equal to the other bit for bit."""
    table = parquet.read_table(answers).sort_by("id")
    found = np.stack([np.asarray(values, np.float32) for values in table["y"].to_pylist()])
    expected = np.load(own)["y"]
    if table["id"].to_pylist() != list(range(ROWS)) or found.tobytes() != expected.tobytes():
        different = int((found != expected).any(1).sum()) if found.shape == expected.shape else -1
        sys.exit(f"Spark's answers differ from those of `adaptact predict` in {different} rows")


def write_page(python: Path, spark_seconds: float, own_seconds: float) -> None:
    """The page of the results."""
    code = "from importlib.metadata import version as v; print(v('pyspark'), v('pandas'), v('onnxruntime'))"
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    PAGE.write_text(
        f"""# Predictions in Spark

`make spark-test` writes this page: [examples/spark_predict.py](../../examples/spark_predict.py) by
`spark-submit --master {MASTER}`.

{ROWS:,} rows of {FEATURES} numbers in Parquet, a perceptron with {HIDDEN} hidden units, pyspark {shown[0]},
pandas {shown[1]}, ONNX Runtime {shown[2]}, Python {platform.python_version()}, {os.cpu_count()} cores, \
which other work may have shared.

- Every row has exactly one answer, and all {ROWS * CLASSES:,} numbers are equal bit for bit to those of
  `adaptact predict mlp.onnx rows.parquet`.
- The whole of `spark-submit`, the start of Java included, took {spark_seconds:.1f} s; `adaptact predict`,
  with the start of Python, {own_seconds:.1f} s.
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
