"""The layers that normalise: by constant statistics, or by those of what they read."""

import numpy as np
import onnx_ir as ir

from convert.rewriting.graph import Array, attribute, rank
from convert.rewriting.linear import Linear, NotExactError


class BatchNormalization(Linear):
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
        self._inference_only()
        self.store({1: gamma * scale, 2: beta * scale + shift}, gamma.dtype)

    def transform_input(self, scale: Array, shift: Array) -> None:
        """The scale goes into gamma, and with the shift into beta; the mean stays."""
        gamma, mean = self.weights(1), self.weights(3).astype(np.float64)
        slope, offset = self.affine()
        # slope · (scale · x + shift) + offset, written again with the mean that stands in the graph
        self.store({1: gamma * scale, 2: offset + slope * shift + slope * scale * mean}, gamma.dtype)

    def affine(self) -> tuple[Array, Array]:
        """(slope, offset) of slope · x + offset, [channels] each."""
        gamma, beta, mean, variance = (
            self.weights(position).astype(np.float64).reshape(-1) for position in (1, 2, 3, 4)
        )
        self._inference_only()
        slope = gamma / np.sqrt(variance + attribute(self.node, "epsilon", 1e-5))
        return slope, beta - slope * mean

    def _inference_only(self) -> None:
        if attribute(self.node, "training_mode", 0):
            raise NotExactError("`BatchNormalization` is in training mode")


class _Normalization(Linear):
    """gamma · (x − mean) / deviation + beta, of statistics of the input itself, [channels] each."""

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
    """Statistics of each channel of each example, channels along axis 1."""

    channel_axis = 1


class LayerNormalization(_Normalization):
    """Statistics over the last axis, which holds the channels."""

    channel_axis = -1

    @property
    def outputs(self) -> int:
        """The number of channels. NotExactError where the statistics are over more axes than theirs."""
        axes, axis = rank(self.node.outputs[0]), int(attribute(self.node, "axis", -1))
        if axis != -1 and (axes is None or axis != axes - 1):
            raise NotExactError("`LayerNormalization` over several axes has a scale for each of their places")
        return super().outputs


def normalization(node: ir.Node) -> tuple[Array, Array]:
    """(scale, shift) of a BatchNormalization in float64, one a channel; NotExactError if not constant."""
    return BatchNormalization(node).affine()
