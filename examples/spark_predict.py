"""Predictions in Spark: a `pandas_udf` that loads a model's file once in each of the executors' processes.

    spark-submit examples/spark_predict.py model.onnx rows.parquet answers.parquet

`rows.parquet` has a column `x` of arrays; the answers have it too, and `y`, the first output.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from pyspark import SparkFiles  # type: ignore[import-not-found]
from pyspark.sql import SparkSession  # type: ignore[import-not-found]
from pyspark.sql.functions import pandas_udf  # type: ignore[import-not-found]

from serve.client.batch.offline.rows import answer_arrays, load_once


def make_predict(file: str) -> Callable[..., Any]:
    """The function of a column of arrays, whose result is a column of arrays; the model's file was added."""

    @pandas_udf("array<float>")  # type: ignore[untyped-decorator]
    def predict(columns: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = load_once(Path(SparkFiles.get(file)))
        (taken,), given = model.metadata.inputs, model.metadata.outputs[0]
        for column in columns:
            rows = {taken.name: np.stack(column.to_list())} if len(column) else {}
            yield pd.Series(list(answer_arrays(model, rows)[given.name]) if rows else [], dtype=object)

    return predict  # type: ignore[no-any-return]


def main() -> None:
    """Predict the rows of the second file by the first, and write the third."""
    model, rows, answers = sys.argv[1:]
    spark = SparkSession.builder.getOrCreate()
    spark.sparkContext.addFile(model)
    predict = make_predict(Path(model).name)
    table = spark.read.parquet(rows)
    table.withColumn("y", predict(table["x"])).write.parquet(answers)
    spark.stop()


if __name__ == "__main__":
    main()
