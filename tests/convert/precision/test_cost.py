import onnx_ir as ir
import pytest

from convert.precision.cost import measure_cost
from tests.convert.precision.networks import build_network
from tests.convert.tuning.machine import BASE_SECONDS, PlantedMachine


@pytest.fixture(scope="module")
def graph() -> ir.Model:
    """A network with layers of rows."""
    return build_network("rows")[2]


def test_nothing_is_timed_without_a_machine(graph: ir.Model) -> None:
    cost = measure_cost(graph, graph)
    assert cost.bytes == cost.float32_bytes > 0
    assert cost.speeds == ()


def test_the_ratio_is_that_of_the_times(graph: ir.Model) -> None:
    slower = graph.clone()
    slower.graph.append(ir.node("Softsign", [slower.graph.outputs[0]]))
    machine = PlantedMachine(batches=({"Softsign": BASE_SECONDS}, {}))
    first, second = measure_cost(graph, slower, (machine, machine), (1, 16)).speeds
    assert (first.batch, first.float32, first.rounded, first.ratio) == (1, 10_000, 20_000, 2)
    assert (second.batch, second.ratio) == (16, 1)
