"""Small networks that the tests of precision round, as far as the stages before bring them."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.calibration import Calibration
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from convert.sources.fold import fold
from tests.convert.models import IMAGES, classifier, make_activation, optimise_model

ROWS = parse_input("row:float32[N,16]")


class Cube(nn.Module):
    """x³, whose few large numbers leave 8 bits none for the many small ones."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        return x * x * x


def build_rows_network(*middle: nn.Module, steep: float = 1.0) -> nn.Sequential:
    """Linear layers of 16 to 32 and back to 4 scores, around the modules given; weights times `steep`."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(16, 32)]
    for module in middle:
        layers += [module, nn.Linear(32, 32)]
    for layer in layers:
        for parameter in layer.parameters() if isinstance(layer, nn.Linear) else ():
            parameter.data.mul_(steep)
    return nn.Sequential(*layers[:-1], nn.Linear(32, 4)).eval()


NETWORKS = ("images", "rows")


@cache
def build_network(name: str) -> tuple[nn.Module, InputSpec, ir.Model]:
    """The named network of adaptive activations, its input, and its graph as it passed parity."""
    if name == "images":
        model: nn.Module = classifier("Swish", per_channel=True)
        return model, IMAGES, optimise_model(model).model
    made = {
        "rows": build_rows_network(make_activation("PELU"), make_activation("PELU", 32)),
        "cube": build_rows_network(make_activation("PELU"), Cube(), make_activation("PELU"), steep=2.5),
        "relu": build_rows_network(nn.ReLU(), nn.ReLU6(), steep=6),
    }[name]
    return made, ROWS, optimise_model(made, ROWS).model


@cache
def export_at_opset(opset: int) -> ir.Model:
    """The network of images, written at this opset."""
    model, spec, _ = build_network("images")
    return optimise(export(fold(model), [spec], ["y"], opset).model).model


def read_graph(text: str, **constants: Array) -> ir.Model:
    """The graph of ONNX's text form, `g (inputs) => (outputs) { nodes }`, with these constants."""
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 20]>\n{text}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    for place, node in enumerate(proto.graph.node):
        node.name = f"node {place}"
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def make_samples(spec: InputSpec, count: int = 128, seed: int = 3) -> Array:
    """Samples of the input, [count, ...]."""
    shape = (count, *spec.shape[1:])
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)  # type: ignore[arg-type]


def as_own_samples(array: Array) -> tuple[SampleSet, ...]:
    """The samples as the user's own."""
    return (SampleSet("given, 0", (array,), typical=True, given=True),)


def as_calibration(array: Array) -> Calibration:
    """The samples as calibration data."""
    return Calibration((SampleSet("calibration, 0", (array,)),), len(array))


def build_original(name: str) -> Original:
    """What the named network is held against."""
    return Original(build_network(name)[0], ["y"])


def list_operators(model: ir.Model) -> Sequence[str]:
    """The operators of the graph, in order."""
    return [node.op_type for node in model.graph]
