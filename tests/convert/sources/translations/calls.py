"""Functions of torch, exported side by side and run by ONNX Runtime."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.sources.export import export
from convert.sources.opset import DEFAULT_OPSET


class Calls(nn.Module):
    """Several functions of the same inputs."""

    def __init__(self, functions: Sequence[Callable[..., Tensor]]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """The result of each."""
        return tuple(function(*arguments) for function in self.functions)


def run_exported(
    functions: Mapping[str, Callable[..., Tensor]], arrays: Sequence[Array], opset: int = DEFAULT_OPSET
) -> dict[str, Array]:
    """The result of each function, by its name, in ONNX Runtime."""
    names = [f"input_{place}" for place in range(len(arrays))]
    inputs = [
        InputSpec(name, array.dtype.name, tuple(array.shape))
        for name, array in zip(names, arrays, strict=True)
    ]
    exported = export(Calls(list(functions.values())), inputs, list(functions), opset)
    return Session(serialise(exported.model), names).run(arrays)


def run_in_torch(function: Callable[..., Tensor], arrays: Sequence[Array]) -> Array:
    """The result of one function in torch."""
    result: Array = function(*(torch.from_numpy(array.copy()) for array in arrays)).numpy()
    return result
