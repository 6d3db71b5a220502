from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.precision import static
from convert.precision.static_ways import make_plain_scheme
from tests.convert.models import make_activation, optimise_model
from tests.convert.precision.networks import as_own_samples, make_samples

PICTURE = parse_input("picture:float32[N,3,12,12]")


class Pooled(nn.Module):
    """A max pool behind a curved activation, whose input another layer may read too."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.keeps = keeps
        self.stem, self.bend = nn.Conv2d(3, 4, 3, padding=1), make_activation("PELU")
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.left, self.right = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, 12, 12] -> [N, 4, 4, 4], or with the pool's input [N, 4, 6, 6] beside it."""
        bent = self.bend(self.stem(x))
        pooled: Tensor = self.left(self.pool(bent))
        return torch.cat([pooled.flatten(1), self.right(bent).flatten(1)], 1) if self.keeps else pooled


@cache
def build(keeps: bool) -> ir.Model:
    return optimise_model(Pooled(keeps).eval(), PICTURE).model


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_pool_reads_8_bits_and_gives_what_it_gave(
    keeps: bool, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, x = build(keeps), make_samples(PICTURE, 32)
    scheme = make_plain_scheme(graph, as_own_samples(x), provider)
    rounded = scheme.round(())
    assert _describe_pool(rounded) == ("DequantizeLinear", "QuantizeLinear")
    monkeypatch.setattr(static, "round_before_pools", lambda graph, names: None)
    before = scheme.round(())
    result, expected = (Session(serialise(each), ["picture"]).run([3 * x])["y"] for each in (rounded, before))
    np.testing.assert_array_equal(result, expected)


def test_the_values_before_a_pool_have_types() -> None:
    """Of one with a shape alone, the writer prints a line on the terminal."""
    graph = make_plain_scheme(build(False), as_own_samples(make_samples(PICTURE)), "cpu").round(())
    pool = next(node for node in graph.graph if node.op_type == "MaxPool")
    whole, read = (
        node.outputs[0].dtype for node in (_get_producer(_get_producer(pool)), _get_producer(pool))
    )
    assert (read, whole) == (ir.DataType.FLOAT, ir.DataType.UINT8)


def test_a_pool_at_a_float_place_reads_floats() -> None:
    scheme = make_plain_scheme(build(False), as_own_samples(make_samples(PICTURE)), "openvino")
    place = next(site for site in scheme.sites if any("max_pool" in name for name in site.between))
    before, after = _describe_pool(scheme.round([place]))
    assert "Linear" not in before + after


def _get_producer(node: ir.Node) -> ir.Node:
    """The one of its first input."""
    value = node.inputs[0]
    producer = None if value is None else value.producer()
    assert producer is not None
    return producer


def _describe_pool(graph: ir.Model) -> tuple[str, str]:
    """The operators before and behind the pool."""
    pool = next(node for node in graph.graph if node.op_type == "MaxPool")
    before = pool.inputs[0].producer()  # type: ignore[union-attr]
    return (before.op_type if before else "", next(iter(pool.outputs[0].uses())).node.op_type)
