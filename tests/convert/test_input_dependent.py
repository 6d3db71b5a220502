"""The activations that look at more of their input than one place: what they export to."""

from collections.abc import Mapping

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, Activation, MetaACON
from convert.model_io.inputs import InputSpec, parse_input
from convert.parity.criterion import Comparison
from convert.rewriting.optimise import DroppedRule, optimise, remaining_rules
from tests.convert.models import SideBySide, compare_model, export_model, make_activation, optimise_model

IMAGES = parse_input("x:float32[N,3,5,6]")
NAMES = [name for name, kind in ACTIVATIONS.items() if not kind.elementwise]


def make_trained(name: str, shape: tuple[int, ...], axis: int = 1) -> nn.Module:
    """The activation away from its start, with running statistics of its own."""
    made = make_activation(name, 3)
    assert isinstance(made, Activation)
    made.channel_axis = axis
    for _ in range(5):
        made.train()(torch.randn(shape))
    return made.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_exports_to_its_promised_operators(name: str) -> None:
    model = nn.Sequential(make_trained(name, (4, 3, 5, 6)))
    optimised = optimise_model(model, IMAGES)
    assert tuple(node.op_type for node in optimised.model.graph) == ACTIVATIONS[name].onnx_ops
    assert all(comparison.passed for comparison in compare_model(model, optimised.model, IMAGES))


@pytest.mark.slow
def test_each_keeps_its_values_between_convolutions() -> None:
    members = {
        name: nn.Sequential(nn.Conv2d(3, 3, 3), make_trained(name, (4, 3, 5, 6)), nn.Conv2d(3, 2, 3))
        for name in NAMES
    }
    assert _list_failed(members, IMAGES) == []


@pytest.mark.slow
@pytest.mark.parametrize(("written", "shape", "axis"), [("N,3", (8, 3), 1), ("N,6,3", (4, 6, 3), -1)])
def test_each_keeps_its_values_between_linear_layers(written: str, shape: tuple[int, ...], axis: int) -> None:
    members = {
        name: nn.Sequential(nn.Linear(3, 3), make_trained(name, shape, axis), nn.Linear(3, 2))
        for name in NAMES
        if name != "Funnel"  # which takes images only
    }
    assert _list_failed(members, parse_input(f"x:float32[{written}]")) == []


def _list_failed(members: Mapping[str, nn.Module], inputs: InputSpec) -> list[Comparison]:
    """The comparisons that fail where the members stand side by side in one file."""
    model = SideBySide(*members.values()).eval()
    graph = optimise(export_model(model, inputs, tuple(members))).model
    comparisons = compare_model(model, graph, inputs, tuple(members))
    assert {comparison.output for comparison in comparisons} == set(members)
    return [comparison for comparison in comparisons if not comparison.passed]


@pytest.mark.slow
def test_a_tiny_sharpness_keeps_its_digits_for_large_inputs() -> None:
    """ONNX Runtime's Sigmoid has none left there, and x lifts what is missing into the next curve."""
    sharp = make_trained("MetaACON", (8, 3))
    assert isinstance(sharp, MetaACON)
    nn.init.zeros_(sharp.excite.weight)
    nn.init.constant_(sharp.excite.bias, -12)
    inputs = parse_input("x:float32[N,3]")
    model = nn.Sequential(nn.Linear(3, 3), sharp, nn.Linear(3, 2)).eval()
    optimised = optimise_model(model, inputs)
    assert all(comparison.passed for comparison in compare_model(model, optimised.model, inputs))
    without = optimise(
        export_model(model, inputs), remaining_rules([DroppedRule("sigmoid_to_exp", "")])
    ).model
    large = next(one for one in compare_model(model, without, inputs) if one.run == "large")
    assert not large.passed
