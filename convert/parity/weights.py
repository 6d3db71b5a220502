"""A model's weights, each of which can be changed by about a hundredth for one run.

A change that moves no output is one that parity would not see.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.parity.verify import Original
from convert.sources.source import Source

CHANGE = 0.01  # of the root mean square of a weight's numbers
SMALLEST_SIZE = 0.1
"""Taken for the root mean square where that is less: a change of weights that are zero must be one too."""
_SIGNS = np.asarray(2 * np.random.default_rng(0).integers(0, 2, 65_521) - 1, np.int8)
_STATISTICS = ("running_mean", "running_var")


class Weights(Protocol):
    """The weights by name, in the order of the model."""

    names: tuple[str, ...]

    def run(self, arrays: Sequence[Array], changed: Collection[str]) -> Mapping[str, Array]:
        """The outputs with these weights changed, all at once. Raises ExportError where the model fails."""


def find_weights(original: Original, source: Source) -> Weights:
    """The weights of the module, or of the graph where that was the source."""
    if source.graph is not None:
        return GraphWeights(source.graph)
    return ModuleWeights(original)


class ModuleWeights:
    """The floating point parameters and buffers of a module, which it has again after each run."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self.tensors = dict(_list_tensors(original.float32))
        self.names = tuple(self.tensors)

    def run(self, arrays: Sequence[Array], changed: Collection[str]) -> Mapping[str, Array]:
        """The outputs with these weights changed, all at once. Raises ExportError where the model fails."""
        with self._change(changed):
            return self._original.run_float32(arrays)

    @contextmanager
    def _change(self, names: Collection[str]) -> Iterator[None]:
        kept = {name: self.tensors[name].detach().clone() for name in names}
        with torch.no_grad():
            for name in names:
                self.tensors[name].add_(self.step(name))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, before in kept.items():
                    self.tensors[name].copy_(before)

    def step(self, name: str) -> Tensor:
        """What is added to the weight: of one size, with random signs."""
        tensor = self.tensors[name].detach()
        signs = torch.from_numpy(_draw_signs(tuple(tensor.shape))).to(tensor.dtype)
        precision = torch.promote_types(tensor.dtype, torch.float32)
        size = torch.linalg.vector_norm(tensor, dtype=precision) / tensor.numel() ** 0.5
        return signs.mul_(_choose_size(float(size)))


def _list_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The floating point parameters, and the buffers that are no statistics of a normalisation with weights.

    Those act as its weight and bias do, and have no gradient.
    """
    parameters = dict(model.named_parameters())
    for name, tensor in (*parameters.items(), *model.named_buffers()):
        folder, _, last = name.rpartition(".")
        is_statistic = last in _STATISTICS and f"{folder}.weight".removeprefix(".") in parameters
        if tensor.is_floating_point() and tensor.numel() and not is_statistic:
            yield name, tensor


class GraphWeights:
    """The floating point initialisers that an ONNX graph reads, but for single numbers."""

    def __init__(self, graph: ir.Model) -> None:
        fed = graph.clone()
        self._arrays = {
            name: value.const_value.numpy()
            for name, value in fed.graph.initializers.items()
            if value.const_value is not None and _is_weight(value)
        }
        for name in self._arrays:
            value = fed.graph.initializers.pop(name)
            value.const_value = None
            fed.graph.inputs.append(value)
        self.names = tuple(self._arrays)
        self._graph: ir.Model | None = fed
        self._session: Session | None = None

    def run(self, arrays: Sequence[Array], changed: Collection[str]) -> Mapping[str, Array]:
        """The outputs with these weights changed, all at once. Raises ExportError where the graph fails."""
        if self._session is None:
            self._session = self._open()
        weights = [_change_array(array) if name in changed else array for name, array in self._arrays.items()]
        return self._session.run([*arrays, *weights])

    def _open(self) -> Session:
        if self._graph is None:
            raise ExportError("ONNX Runtime takes no weights of this graph as inputs")
        fed, self._graph = self._graph, None
        return Session(serialise(fed), [value.name or "" for value in fed.graph.inputs])


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value
    return (
        tensor is not None
        and tensor.dtype.is_floating_point()
        and len(tensor.shape) > 0
        and tensor.size > 0
        and bool(value.uses())
    )


def _change_array(array: Array) -> Array:
    size = _choose_size(float(np.linalg.norm(array.reshape(-1).astype(np.float64)) / array.size**0.5))
    changed: Array = (array + _draw_signs(array.shape) * size).astype(array.dtype)
    return changed


def _draw_signs(shape: tuple[int, ...]) -> Array:
    """Random signs that come again after a prime number of them, which no row of a weight is in step with."""
    return np.resize(_SIGNS, shape)


def _choose_size(root_mean_square: float) -> float:
    return CHANGE * max(root_mean_square, SMALLEST_SIZE)
