from collections.abc import Iterator, Sequence

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS
from convert.model_io.inputs import InputSpec, parse_input
from convert.rewriting.optimise import optimise
from tests.convert.models import (
    SideBySide,
    compare_model,
    cover_operators,
    export_model,
    make_activation,
)
from tests.convert.test_textbook import UNWRITTEN

ELEMENTWISE = [name for name, kind in ACTIVATIONS.items() if kind.elementwise]
ROWS = parse_input("x:float32[N,6]")
WIDE = parse_input(f"x:float32[N,{6 * len(ELEMENTWISE)}]")


class OnOwnParts(SideBySide):
    """Several models, each of a part of the input: so that they have no node in common but the Split."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each member makes of its six columns."""
        return tuple(
            member(part) for member, part in zip(self.members, x.chunk(len(self.members), 1), strict=True)
        )


def list_failures(model: nn.Module, graph: ir.Model, inputs: InputSpec, names: Sequence[str]) -> list[str]:
    """The activations whose output fails parity; each has an output of its name."""
    comparisons = compare_model(model, graph, inputs, names)
    assert {comparison.output for comparison in comparisons} == set(names)
    return [comparison.output for comparison in comparisons if not comparison.passed]


def list_nodes(value: ir.Value | None) -> Iterator[ir.Node]:
    """The nodes that the value is computed by, some more than once."""
    node = value.producer() if value is not None else None
    if node is not None:
        yield node
        for taken in node.inputs:
            yield from list_nodes(taken)


@pytest.mark.slow
def test_each_activation_exports_to_the_operators_it_promises() -> None:
    model = OnOwnParts(*map(make_activation, ELEMENTWISE)).eval()
    graph = optimise(export_model(model, WIDE, ELEMENTWISE)).model
    operators = {}
    for output in graph.graph.outputs:
        nodes = set(list_nodes(output))
        types = tuple(node.op_type for node in graph.graph if node in nodes)
        operators[output.name] = tuple(kind for kind in types if kind != "Split")
    assert operators == {name: ACTIVATIONS[name].onnx_ops for name in ELEMENTWISE}
    assert list_failures(model, graph, WIDE, ELEMENTWISE) == []


@pytest.mark.slow
def test_every_operator_keeps_its_values_between_linear_layers() -> None:
    """Between convolutions each activation does: see `test_textbook.py`."""
    torch.manual_seed(3)
    names = [name for name in ELEMENTWISE if name in (*cover_operators(), *UNWRITTEN)]
    members = (nn.Sequential(nn.Linear(6, 5), make_activation(name, 5), nn.Linear(5, 3)) for name in names)
    model = SideBySide(*members).eval()
    graph = optimise(export_model(model, ROWS, names)).model
    assert list_failures(model, graph, ROWS, names) == []
