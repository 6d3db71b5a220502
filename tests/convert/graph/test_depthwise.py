import pytest

from convert.graph.depthwise import scales_channels
from tests.convert.graphs import parse_graph, write_constant, write_graph


@pytest.mark.parametrize(
    ("body", "shape", "expected"),
    [
        ("y = Conv<group = 4>(x, w)", (4, 1, 1, 1), True),
        ("y = Conv<group = 4>(x, w)", (4, 1, 3, 3), False),
        ("y = Conv<group = 2>(x, w)", (4, 2, 1, 1), False),
        ("y = Conv(x, w)", (4, 4, 1, 1), False),
        ("y = Mul(x, w)", (4, 1, 1), False),
    ],
)
def test_a_scale_per_channel_is_told_from_a_layer(body: str, shape: tuple[int, ...], expected: bool) -> None:
    (node,) = parse_graph(write_graph(body, write_constant("w", *shape), y="float[N,4,H,W]")).graph
    assert scales_channels(node) is expected
