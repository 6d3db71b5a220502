"""Rows in memory, answered by a model that the process loads once: for workers of other engines, as Spark."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from serve.client.batch.offline.batches import ArrayBatch, Batch, Instance, InstanceBatch
from serve.client.batch.offline.model import LocalModel
from serve.client.errors import InvalidFileError
from serve.engine.signature import Array


@lru_cache(maxsize=4)
def load_once(path: Path) -> LocalModel:
    """The model of the file, as this process loaded it when it was first asked for.

    Raises `InvalidFileError` where a server would not serve it.
    """
    return LocalModel(path)


def answer_arrays(model: LocalModel, arrays: Mapping[str, Array], batch: int = 32) -> dict[str, Array]:
    """The outputs for the rows of the inputs' arrays, at least one; the model gets `batch` of them at once.

    Raises `InvalidFileError`, or an `EngineError`, for rows that are none of the model's.
    """
    names, lengths = [spec.name for spec in model.metadata.inputs], {len(array) for array in arrays.values()}
    if set(arrays) != set(names) or len(lengths) != 1:
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        raise InvalidFileError(
            f"expected as many rows for each of the inputs `{names}`, got arrays of `{shapes}`"
        )
    return _answer(model, ArrayBatch(1, model.metadata.inputs, arrays), batch)


def answer_instances(model: LocalModel, instances: Sequence[Instance], batch: int = 32) -> dict[str, Array]:
    """The outputs for instances as `:predict` takes them: rows by their columns, texts, images in base64.

    `label` has the likeliest classes' names, where the classes are known. Raises as `answer_arrays`.
    """
    return _answer(model, InstanceBatch(1, instances), batch)


def _answer(model: LocalModel, rows: Batch, batch: int) -> dict[str, Array]:
    if not len(rows):
        raise InvalidFileError("there is no row; expected at least one")
    parts = [
        model.answer(rows.part(start, min(start + batch, len(rows))), ())
        for start in range(0, len(rows), batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
