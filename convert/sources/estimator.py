"""The Python model that an ONNX file of classical learning was made from; the file is compared with it."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import onnx_ir as ir
from torch import Tensor, nn

from adaptact.text import first_line
from adaptive_act.checkpoint.factory import BUILD_ERRORS, resolve_factory, working_folder_last
from adaptive_act.errors import FactoryError
from convert.errors import ExportError, UsageError
from convert.model_io.array import TEXT, Array, get_dtype, name_dtype
from convert.model_io.runtime import number_texts
from convert.sources.foreign import count_trees
from convert.sources.source import SourceRequest

TIE = 1e-6
"""Scores this near to the largest share it in float32, where the order of a sum decides."""


def build_estimator(request: SourceRequest) -> Any:
    """The fitted estimator that the user's factory gives. Raises UsageError where it gives none."""
    assert request.factory is not None
    try:
        build = resolve_factory(request.factory, trusted=True)
        with working_folder_last():
            estimator: Any = build(**(request.factory_kwargs or {}))
    except (FactoryError, *BUILD_ERRORS) as error:
        raise UsageError(f"factory `{request.factory}` failed: {first_line(error)}") from error
    if not any(callable(getattr(estimator, name, None)) for name in ("predict", "transform")):
        raise UsageError(
            f"factory `{request.factory}` gave a `{type(estimator).__name__}`, expected a fitted estimator "
            "with the method `predict` or `transform`",
            hint="to compare a file with a model of torch: adaptact verify model.pt model.onnx",
        )
    return estimator


class EstimatorModule(nn.Module):
    """A fitted estimator behind the methods of a torch module, with the outputs of its graph.

    Outputs of texts and whole numbers are what `predict` gives; the others `predict_proba`, or else
    `decision_function` of a classifier, or `predict`, or `transform`. It takes the one input, or the columns
    of several, of objects where one holds texts.
    """

    is_reference = False

    def __init__(self, estimator: Any, graph: ir.Model) -> None:
        super().__init__()
        self._estimator = estimator
        self._outputs = {value.name or "": _describe(value) for value in graph.graph.outputs}
        self._is_wide = False
        self.trees = count_trees(graph)
        self._graph = graph

    def forward(self, *arguments: Tensor) -> Tensor:
        """Not offered: an estimator takes arrays."""
        raise NotImplementedError

    def double(self) -> Self:
        """The estimator, given float64 and asked for it."""
        self._is_wide = True
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "EstimatorModule":
        return EstimatorModule(self._estimator, self._graph)

    def run_arrays(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name; texts are whole numbers. Raises ExportError where the estimator fails."""
        rows = _join_columns(arrays)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as that columns have no names here
                return {
                    name: self._shape(self._ask(dtype, rows), dtype, rank)
                    for name, (dtype, rank) in self._outputs.items()
                }
        except Exception as error:  # foreign code may raise anything
            described = f"{rows.dtype.name}{list(rows.shape)}"
            raise ExportError(
                f"the estimator cannot be run on {described}: {type(error).__name__}: {first_line(error)}",
                hint="let the factory return an object whose `predict` takes such an array",
            ) from error

    def _ask(self, dtype: np.dtype[Any], rows: Array) -> Any:
        estimator = self._estimator
        if dtype.kind != "f":
            return estimator.predict(rows) if self._is_wide else self._predict_last(rows)
        scored = hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")
        names = ("predict_proba", "decision_function") if scored else ("predict", "transform")
        return next(getattr(estimator, name) for name in names if hasattr(estimator, name))(rows)

    def _predict_last(self, rows: Array) -> Any:
        """What `predict` gives; of classes that share the largest score, the last, as float32 may choose."""
        labels = np.asarray(self._estimator.predict(rows))
        if not hasattr(self._estimator, "predict_proba") or labels.ndim != 1:
            return labels
        classes, scores = np.asarray(self._estimator.classes_), self._estimator.predict_proba(rows)
        tied = scores >= scores.max(axis=1, keepdims=True) - TIE
        last = classes[classes.size - 1 - tied[:, ::-1].argmax(axis=1)]
        shares = (tied & (classes == labels[:, None])).any(axis=1)
        return np.where(shares, last, labels)

    def _shape(self, values: Any, dtype: np.dtype[Any], rank: int) -> Array:
        array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)  # a sparse matrix
        if dtype.kind == "O":
            array = number_texts(array.astype(dtype))
        elif dtype.kind != "f" or not self._is_wide:
            array = array.astype(dtype)
        return array.reshape(len(array), -1) if rank == 2 else array.reshape(-1)


def _describe(value: ir.Value) -> tuple[np.dtype[Any], int]:
    """The type of the output, and how many axes it has."""
    dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
    return get_dtype(name_dtype(dtype)), len(value.shape or ())


def _join_columns(arrays: Sequence[Array]) -> Array:
    """The one array, or the columns of all of them."""
    if len(arrays) == 1:
        return arrays[0]
    has_texts = any(name_dtype(array.dtype) == TEXT for array in arrays)
    columns = [array.reshape(len(array), -1) for array in arrays]
    return np.concatenate([column.astype(object) if has_texts else column for column in columns], axis=1)
