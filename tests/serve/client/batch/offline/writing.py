"""Inputs in every form, written as their users' programs write them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from serve.engine.signature import Array


def write_csv(path: Path, x: Array) -> None:
    header = ",".join(f"x[{column}]" for column in range(x.shape[1]))
    lines = [",".join(map(str, row)) for row in x]
    path.write_text("\n".join([header, "", *lines, ""]))


def write_jsonl(path: Path, x: Array) -> None:
    path.write_text("".join(json.dumps({"x": row}) + "\n\n" for row in x.tolist()))


def write_columns(path: Path, x: Array) -> None:
    columns = {f"x[{column}]": x[:, column] for column in range(x.shape[1])}
    parquet.write_table(pa.table(columns), path, row_group_size=21)


def write_lists(path: Path, x: Array) -> None:
    lists = pa.array(x.tolist(), pa.list_(pa.float32()))
    parquet.write_table(pa.table({"id": np.arange(len(x)), "x": lists}), path, row_group_size=9)


FORMS: Mapping[str, tuple[str, Callable[[Path, Array], None]]] = {
    "csv": ("in.csv", write_csv),
    "jsonl": ("in.jsonl", write_jsonl),
    "npz": ("in.npz", lambda path, x: np.savez(path, x=x)),
    "npz, compressed": ("in.npz", lambda path, x: np.savez_compressed(path, x=x)),
    "npz, columns first": ("in.npz", lambda path, x: np.savez(path, x=np.asfortranarray(x))),
    "parquet, columns": ("in.parquet", write_columns),
    "parquet, lists": ("in.parquet", write_lists),
}
