import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS
from convert.model_io.inputs import parse_input
from convert.rewriting.optimise import optimise
from tests.convert.models import SideBySide, compare_model, export_model, make_activation, optimise_model

ROWS = parse_input("x:float32[N,6]")
ELEMENTWISE = [name for name, kind in ACTIVATIONS.items() if kind.elementwise]


@pytest.mark.slow
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_each_activation_exports_to_the_operators_it_promises(name: str) -> None:
    model = nn.Sequential(make_activation(name))
    optimised = optimise_model(model, ROWS)
    assert tuple(node.op_type for node in optimised.model.graph) == ACTIVATIONS[name].onnx_ops
    assert all(comparison.passed for comparison in compare_model(model, optimised.model, ROWS))


@pytest.mark.slow
def test_each_activation_per_channel_keeps_its_values() -> None:
    torch.manual_seed(3)
    members = (
        nn.Sequential(nn.Linear(6, 5), make_activation(name, 5), nn.Linear(5, 3)) for name in ELEMENTWISE
    )
    model = SideBySide(*members).eval()
    graph = optimise(export_model(model, ROWS, ELEMENTWISE)).model
    found = compare_model(model, graph, ROWS, ELEMENTWISE)
    assert {comparison.output for comparison in found} == set(ELEMENTWISE)
    assert [comparison.output for comparison in found if not comparison.passed] == []
