"""A model's inputs and outputs, and the check of arrays against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve.engine.datatypes import BY_DTYPE, Datatype
from serve.engine.errors import InvalidInputError, quote, quote_names

if TYPE_CHECKING:
    from convert.manifest.size_bounds import SizeBounds  # the client, which takes Array, goes without

Array: TypeAlias = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output; a dimension is a size, a symbol shared between inputs, or None for any size."""

    name: str
    datatype: Datatype
    shape: tuple[int | str | None, ...]
    bounds: "Mapping[int, SizeBounds]" = field(default_factory=dict)
    """Of sizes that vary only within bounds, by axis."""

    @property
    def dims(self) -> list[int]:
        """The shape in the protocol's form: -1 for a size that may vary."""
        return [dim if isinstance(dim, int) else -1 for dim in self.shape]

    def zeros(self) -> Array:
        """A tensor of zeros, or of empty strings, of the smallest size from 1 where that may vary."""
        shape = [dim if isinstance(dim, int) else 1 for dim in self.shape]
        for axis, bounds in self.bounds.items():
            shape[axis] = bounds.fit(1)
        fill = "" if self.datatype.name == "BYTES" else np.zeros((), self.datatype.dtype)
        return np.full(shape, fill, self.datatype.dtype)


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's inputs and outputs, in the model's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def check_inputs(self, arrays: Mapping[str, Array]) -> None:
        """Raise `InvalidInputError` unless the arrays are exactly the model's inputs."""
        symbols: dict[str, int] = {}
        for spec in self.inputs:
            array = arrays.get(spec.name)
            if array is None:
                expected = quote_names([spec.name for spec in self.inputs])
                raise InvalidInputError(f"input {quote(spec.name)} is missing; expected: {expected}")
            _check_datatype(spec, array)
            _check_shape(spec, array.shape, symbols)
            _check_bounds(spec, array.shape)
        if len(arrays) > len(self.inputs):
            known = [spec.name for spec in self.inputs]
            extra = next(name for name in arrays if name not in known)
            raise InvalidInputError(f"the model has no input {quote(extra)}; expected: {quote_names(known)}")

    def choose_outputs(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The requested names, or all; raises `InvalidInputError` for an unknown or repeated name."""
        known = tuple(spec.name for spec in self.outputs)
        if not names:
            return known
        for position, name in enumerate(names):
            if name not in known:
                raise InvalidInputError(
                    f"the model has no output {quote(name)}; expected: {quote_names(known)}"
                )
            if name in names[:position]:
                raise InvalidInputError(f"output {quote(name)} already exists in the request")
        return tuple(names)

    def zeros(self) -> dict[str, Array]:
        """Inputs of zeros, of the smallest size from 1 where that may vary."""
        return {spec.name: spec.zeros() for spec in self.inputs}

    def fit_rows(self, rows: int) -> int:
        """The largest first size up to `rows` that the bounds of every input allow, 0 if there is none."""
        first = [spec.bounds[0] for spec in self.inputs if 0 in spec.bounds]
        return next((size for size in range(rows, 0, -1) if all(bounds.allow(size) for bounds in first)), 0)

    def rename_outputs(self, names: Sequence[str]) -> "Signature":
        """The signature with these names of its outputs, in their order."""
        outputs = zip(self.outputs, names, strict=True)
        return replace(self, outputs=tuple(replace(spec, name=name) for spec, name in outputs))

    def bound(self, bounds: "Mapping[str, SizeBounds]") -> "Signature":
        """The signature with bounds for its inputs' sizes, by symbol."""
        return replace(
            self,
            inputs=tuple(
                replace(
                    spec,
                    bounds={
                        axis: bounds[dim]
                        for axis, dim in enumerate(spec.shape)
                        if isinstance(dim, str) and dim in bounds
                    },
                )
                for spec in self.inputs
            ),
        )


def _check_datatype(spec: TensorSpec, array: Array) -> None:
    if array.dtype == spec.datatype.dtype:
        return
    got = BY_DTYPE.get(array.dtype)
    raise InvalidInputError(
        f"input {quote(spec.name)} has the wrong datatype: expected `{spec.datatype.name}`, "
        f"got `{got.name if got else array.dtype}`"
    )


def _check_shape(spec: TensorSpec, shape: tuple[int, ...], symbols: dict[str, int]) -> None:
    # ONNX Runtime reports [] both for a scalar and for an unknown rank, so only its run can check those.
    if not spec.shape:
        return
    fits = len(shape) == len(spec.shape)
    if fits:
        for size, dim in zip(shape, spec.shape, strict=True):
            if isinstance(dim, str):
                dim = symbols.setdefault(dim, size)  # noqa: PLW2901  the symbol's size from here on
            if dim is not None and dim != size:
                fits = False
                break
    if not fits:
        expected = [dim if dim is not None else "?" for dim in spec.shape]
        known = {name: size for name, size in symbols.items() if name in spec.shape}
        because = f" where {', '.join(f'{n}={s}' for n, s in known.items())}" if known else ""
        raise InvalidInputError(
            f"input {quote(spec.name)} has the wrong shape: "
            f"expected `[{', '.join(map(str, expected))}]`{because}, got `{list(shape)}`"
        )


def _check_bounds(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    for axis, bounds in spec.bounds.items():
        if not bounds.allow(shape[axis]):
            raise InvalidInputError(
                f"input {quote(spec.name)} has the wrong size at axis {axis}: expected {quote(bounds.text)}, "
                f"got `{shape[axis]}` in `{list(shape)}`"
            )


def count_elements(arrays: Mapping[str, Array]) -> int:
    """The number of values in all the arrays together, at least 1.

    A size of 0 counts as 1, since a model may make values for the other sizes of an empty array.
    """
    total = 0
    for array in arrays.values():
        total += array.size or prod(size or 1 for size in array.shape)
    return total or 1
