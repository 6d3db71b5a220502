"""Layers that are linear in each channel, and so absorb scales and shifts; the normalisations among them."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from convert.graph.edit import set_constant
from convert.graph.nodes import get_attribute, get_constant, get_rank, is_representable
from convert.model_io.array import Array


class NotExactError(Exception):
    """The rewrite would change what the graph computes; the message says why. It never leaves the rules."""


class LinearLayer(ABC):
    """One layer of a graph, as weights that can be scaled. Sizes are those of its channel axis.

    A method that changes weights computes all of them first, so a NotExactError leaves the graph unchanged.
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
        """The layer returns scale · y + shift for its former output y; both are [outputs]."""

    @abstractmethod
    def transform_input(self, scale: Array, shift: Array) -> None:
        """The layer returns for x what it returned for scale · x + shift; both are [inputs]."""

    def weights(self, position: int) -> Array:
        """The constant at an input. NotExactError where it is computed, or an input of the graph."""
        weights = get_constant(self.node.inputs[position]) if position < len(self.node.inputs) else None
        if weights is None:
            raise NotExactError(f"the weights of `{self.node.op_type}` are not constant")
        return weights

    def bias(self, position: int, size: int) -> Array:
        """The constant bias at an input, [size]; zeros where the layer has none."""
        if position >= len(self.node.inputs) or self.node.inputs[position] is None:
            return np.zeros(size)
        bias = self.weights(position)
        if bias.size not in (1, size) or (bias.ndim > 1 and bias.shape[-1] != bias.size):
            raise NotExactError(
                f"the bias of `{self.node.op_type}` has shape {list(bias.shape)}, expected [{size}]"
            )
        return np.broadcast_to(bias.reshape(-1).astype(np.float64), (size,))

    def store(self, constants: dict[int, Array], dtype: np.dtype[np.generic]) -> None:
        """Sets the constants at their inputs. NotExactError where one of them leaves the range of `dtype`."""
        for numbers in constants.values():
            if not is_representable(numbers, dtype):
                raise NotExactError(f"the scaled weights of `{self.node.op_type}` leave the range of {dtype}")
        for position, numbers in constants.items():
            if position >= len(self.node.inputs) and not numbers.any():
                continue
            set_constant(
                self.node, position, numbers, dtype, "weight" if position == 1 else f"constant{position}"
            )


class BatchNormalization(LinearLayer):
    """gamma · (x − mean) / sqrt(var + epsilon) + beta with constant statistics, channels along axis 1."""

    channel_axis = 1

    @property
    def outputs(self) -> int:
        """The number of channels."""
        return int(self.weights(1).size)

    @property
    def inputs(self) -> int:
        """The number of channels."""
        return self.outputs

    def transform_output(self, scale: Array, shift: Array) -> None:
        """The scale goes into gamma, and with the shift into beta."""
        gamma, beta = self.weights(1), self.weights(2)
        self._require_inference()
        self.store({1: gamma * scale, 2: beta * scale + shift}, gamma.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        """The scale goes into gamma, and with the shift into beta; the mean stays."""
        gamma, mean = self.weights(1), self.weights(3).astype(np.float64)
        slope, offset = self.affine()
        # slope · (scale · x + shift) + offset, with the mean that the graph has
        self.store({1: gamma * scale, 2: offset + slope * shift + slope * scale * mean}, gamma.dtype)

    def affine(self) -> tuple[Array, Array]:
        """(slope, offset) of slope · x + offset, [channels] each."""
        gamma, beta, mean, variance = (
            self.weights(position).astype(np.float64).reshape(-1) for position in (1, 2, 3, 4)
        )
        self._require_inference()
        slope = gamma / np.sqrt(variance + get_attribute(self.node, "epsilon", 1e-5))
        return slope, beta - slope * mean

    def _require_inference(self) -> None:
        if get_attribute(self.node, "training_mode", 0):
            raise NotExactError("`BatchNormalization` is in training mode")


class _Normalization(LinearLayer):
    """gamma · (x − mean) / deviation + beta, with statistics of the input itself, [channels] each."""

    @property
    def outputs(self) -> int:
        return int(self.weights(1).size)

    @property
    def inputs(self) -> int:
        raise NotExactError(
            f"`{self.node.op_type}` divides its input by its own deviation, and epsilon with it"
        )

    def transform_output(self, scale: Array, shift: Array) -> None:
        gamma = self.weights(1)
        bias = self.bias(2, self.outputs) * scale + shift
        self.store({1: gamma.reshape(-1) * scale, 2: bias}, gamma.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        raise NotExactError(f"{self.inputs} inputs")


class InstanceNormalization(_Normalization):
    """Statistics over each channel of each sample, channels along axis 1."""

    channel_axis = 1


class LayerNormalization(_Normalization):
    """Statistics over the last axis, which holds the channels."""

    channel_axis = -1

    @property
    def outputs(self) -> int:
        """The number of channels. NotExactError where the statistics are over more axes than theirs."""
        axes, axis = get_rank(self.node.outputs[0]), int(get_attribute(self.node, "axis", -1))
        if axis != -1 and (axes is None or axis != axes - 1):
            raise NotExactError("`LayerNormalization` over several axes has a scale for each of their places")
        return super().outputs


def read_normalization(node: ir.Node) -> tuple[Array, Array]:
    """(scale, shift) of a BatchNormalization in float64, one a channel; NotExactError if not constant."""
    return BatchNormalization(node).affine()
