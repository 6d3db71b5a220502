import numpy as np
import pytest

from convert.graph.layers import layer_before
from convert.graph.rule import Rule
from convert.rules import scale_into_next, scale_into_previous, shift_into_previous
from tests.convert.graphs import applied, constant, graph, parsed, run, samples

TRANSPOSED = "ConvTranspose<pads = [1,1,1,1], group = 2>"


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (scale_into_previous.RULE, f"c = {TRANSPOSED}(x, w, b) y = Mul(c, s)"),
        (shift_into_previous.RULE, f"c = {TRANSPOSED}(x, w, b) y = Add(c, s)"),
        (scale_into_next.RULE, f"c = Mul(x, s) y = {TRANSPOSED}(c, w, b)"),
    ],
)
def test_each_group_of_a_transposed_convolution_takes_its_own_channels(rule: Rule, body: str) -> None:
    # Against ONNX Runtime alone: the reference implementation of onnx reads this operator's groups wrongly.
    text = graph(body, constant("w", 4, 2, 3, 3), constant("b", 4), constant("s", 4, 1, 1))
    optimised, feeds = applied(rule, text), {"x": samples().clip(-3, 3)}
    assert [node.op_type for node in optimised.model.graph] == ["ConvTranspose"]
    np.testing.assert_allclose(run(optimised.model, feeds)["y"], run(parsed(text), feeds)["y"], atol=1e-5)


def test_the_second_output_of_a_layer_is_no_layers() -> None:
    made = parsed(
        graph(
            "y, m = LayerNormalization(x, g, b) z = Mul(m, s)",
            constant("g", 6),
            constant("b", 6),
            constant("s", values="{3}"),
        )
    )
    normed, statistics = made.graph[0].outputs
    assert layer_before(normed) is not None
    assert layer_before(statistics) is None
