"""Sizes that a file leaves free although its layers do not: there OpenVINO would read past its inputs."""

from collections.abc import Callable, Mapping

import numpy as np

from serve.engine.errors import ModelRefusedError, quote
from serve.engine.signature import Array, Signature

SMALLEST, LARGER = 1, 2


def require_free_sizes(
    signature: Signature, run: Callable[[Mapping[str, Array]], object], errors: tuple[type[Exception], ...]
) -> None:
    """Raise `ModelRefusedError` for a free size that `run`, by the CPU provider, takes at 1 only.

    Of a model that does not take zeros, or sizes of 1, nothing is said. `errors` are those of a run.
    """
    try:
        run(_make_zeros(signature, None))
    except errors:
        return
    for size, name in _list_free(signature).items():
        try:
            run(_make_zeros(signature, size))
        except errors as error:
            raise ModelRefusedError(
                f"input {quote(name)} leaves a size free that its layers do not, which provider `openvino` "
                "would not notice; write it into the file by `adaptact export --input`, or choose `cpu`",
                detail=str(error),
            ) from error


def _list_free(signature: Signature) -> dict[object, str]:
    """Each free size, by its symbol or else its place, and an input that has it."""
    return {
        _identify(spec.name, axis, dim): spec.name
        for spec in signature.inputs
        for axis, dim in enumerate(spec.shape)
        if not isinstance(dim, int)
    }


def _identify(name: str, axis: int, dim: int | str | None) -> object:
    return dim if isinstance(dim, str) else (name, axis)


def _make_zeros(signature: Signature, larger: object) -> dict[str, Array]:
    """Inputs of zeros whose free sizes are 1, but for one of 2."""
    arrays = {}
    for spec in signature.inputs:
        sizes = [
            dim if isinstance(dim, int) else LARGER if _identify(spec.name, axis, dim) == larger else SMALLEST
            for axis, dim in enumerate(spec.shape)
        ]
        arrays[spec.name] = np.zeros(sizes, spec.datatype.dtype)
    return arrays
