import numpy as np
import pytest

from convert.graph.layers import find_layer_before
from convert.graph.rule import Rule
from convert.rules import scale_into_next, scale_into_previous, shift_into_previous
from tests.convert.graphs import apply_rule, make_samples, parse_graph, run_graph, write_constant, write_graph

TRANSPOSED = "ConvTranspose<pads = [1,1,1,1], group = 2>"


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (scale_into_previous.RULE, f"c = {TRANSPOSED}(x, w, b) y = Mul(c, s)"),
        (shift_into_previous.RULE, f"c = {TRANSPOSED}(x, w, b) y = Add(c, s)"),
        (scale_into_next.RULE, f"c = Mul(x, s) y = {TRANSPOSED}(c, w, b)"),
    ],
)
def test_groups_of_a_transposed_convolution_are_separate(rule: Rule, body: str) -> None:
    # Against ONNX Runtime alone: the reference implementation of onnx reads this operator's groups wrongly.
    text = write_graph(
        body, write_constant("w", 4, 2, 3, 3), write_constant("b", 4), write_constant("s", 4, 1, 1)
    )
    optimised, feeds = apply_rule(rule, text), {"x": make_samples().clip(-3, 3)}
    assert [node.op_type for node in optimised.model.graph] == ["ConvTranspose"]
    np.testing.assert_allclose(
        run_graph(optimised.model, feeds)["y"], run_graph(parse_graph(text), feeds)["y"], atol=1e-5
    )


def test_a_second_output_is_not_of_the_layer() -> None:
    made = parse_graph(
        write_graph(
            "y, m = LayerNormalization(x, g, b) z = Mul(m, s)",
            write_constant("g", 6),
            write_constant("b", 6),
            write_constant("s", values="{3}"),
        )
    )
    normed, statistics = made.graph[0].outputs
    assert find_layer_before(normed) is not None
    assert find_layer_before(statistics) is None
