"""Layers that are linear in each channel: what scales and shifts can be folded into, on either side.

Every number is worked out in float64 and rounded once, to the type of the weights that it goes into.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from convert.rewriting.graph import Array, constant, representable, set_constant


class NotExactError(Exception):
    """The fold would change what the graph computes, and the message says why; it never leaves the rules."""


class Linear(ABC):
    """One layer of a graph, seen as weights that can be scaled. Sizes are those of its channel axis.

    A method that changes weights works them all out first, so a NotExactError leaves the graph as it was.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node

    channel_axis: ClassVar[int]

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The number of output channels. NotExactError where the weights are not constants."""

    @property
    @abstractmethod
    def inputs(self) -> int:
        """The number of input channels. NotExactError where the weights are not constants."""

    @abstractmethod
    def transform_output(self, scale: Array, shift: Array) -> None:
        """The layer computes scale · y + shift of what it computed; both are [outputs]."""

    @abstractmethod
    def transform_input(self, scale: Array, shift: Array) -> None:
        """The layer computes of x what it computed of scale · x + shift; both are [inputs]."""

    def weights(self, position: int) -> Array:
        """The constant at an input. NotExactError where it is computed or given at run time."""
        found = constant(self.node.inputs[position]) if position < len(self.node.inputs) else None
        if found is None:
            raise NotExactError(f"the weights of `{self.node.op_type}` are not constant")
        return found

    def bias(self, position: int, size: int) -> Array:
        """The constant bias at an input, [size]; zeros where the layer has none."""
        if position >= len(self.node.inputs) or self.node.inputs[position] is None:
            return np.zeros(size)
        found = self.weights(position)
        if found.size not in (1, size) or (found.ndim > 1 and found.shape[-1] != found.size):
            raise NotExactError(
                f"the bias of `{self.node.op_type}` has shape {list(found.shape)}, expected [{size}]"
            )
        return np.broadcast_to(found.reshape(-1).astype(np.float64), (size,))

    def store(self, constants: dict[int, Array], dtype: np.dtype[np.generic]) -> None:
        """The constants stand at their inputs. NotExactError where one of them cannot be held in `dtype`."""
        for numbers in constants.values():
            if not representable(numbers, dtype):
                raise NotExactError(f"the scaled weights of `{self.node.op_type}` leave the range of {dtype}")
        for position, numbers in constants.items():
            if position >= len(self.node.inputs) and not numbers.any():
                continue
            set_constant(
                self.node, position, numbers, dtype, "weight" if position == 1 else f"constant{position}"
            )
