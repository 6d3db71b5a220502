"""Each planted fault fails parity, and the layer in which it lies is named."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from convert.artefact.file import serialise
from convert.errors import ParityError
from convert.graph.edit import Edit
from convert.graph.nodes import get_constant
from convert.graph.rule import FIRED, Outcome, Rule
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet, generate_samples
from convert.parity.divergence import find_first_difference
from convert.parity.locate import CulpritSearch
from convert.parity.verify import Original, Parity, measure_parity, verify
from convert.rewriting.optimise import optimise
from convert.rules import RULES
from tests.convert.faults import FAULTS, Fault
from tests.convert.models import IMAGES, export_model
from tests.convert.network import make_network


@pytest.fixture(scope="module")
def original() -> Original:
    return Original(make_network(), ["y"])


@pytest.fixture(scope="module")
def whole() -> ir.Model:
    return export_model(make_network())


def _compare(original: Original, file: ir.Model) -> Parity:
    return measure_parity(original, Session(serialise(file), [IMAGES.name]), generate_samples([IMAGES]), {})


def _find_hardest(parity: Parity) -> SampleSet:
    return next(samples for samples in generate_samples([IMAGES]) if samples.name == parity.worst.run)


def test_there_are_enough_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.slow
def test_without_a_fault_parity_passes(original: Original, whole: ir.Model) -> None:
    assert _compare(original, optimise(whole).model).passed


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_at_its_layer(fault: Fault, original: Original, whole: ir.Model) -> None:
    faulty = whole.clone()
    fault.plant(faulty)
    file = optimise(faulty).model
    parity = _compare(original, file)
    assert not parity.passed
    said = find_first_difference(original, file, optimise(whole).model, _find_hardest(parity))
    assert any(f"`{layer}`" in said.partition(";")[0] for layer in fault.layers), said


def _forget_bias(node: ir.Node) -> Outcome:
    if len(node.inputs) < 3:
        return None
    edit = Edit(node)
    edit.replace(edit.reapply(*node.inputs[:2]))
    return FIRED


def _become(operator: str, inputs: int) -> Callable[[ir.Node], Outcome]:
    def rewrite(node: ir.Node) -> Outcome:
        edit = Edit(node)
        edit.replace(edit.op(operator, *(value for value in node.inputs[:inputs] if value is not None)))
        return FIRED

    return rewrite


def _turn(node: ir.Node) -> Outcome:
    first, second = node.inputs
    if "turned" in node.metadata_props:
        return None
    node.metadata_props["turned"] = "once"
    node.replace_input_with(0, second)
    node.replace_input_with(1, first)
    return FIRED


def _take_wrong_scale(node: ir.Node) -> Outcome:
    """Divides by the constant where it should multiply."""
    edit = Edit(node)
    if get_constant(node.inputs[0]) is None:
        return None
    edit.replace(edit.op("Div", node.inputs[1], node.inputs[0]))  # type: ignore[arg-type]  # a product has two
    return FIRED


BROKEN = {
    "elu_to_relu": (Rule("elu_to_relu", ("Elu",), _become("Relu", 1)), "curve"),
    "gate_to_hard_gate": (Rule("gate_to_hard_gate", ("Sigmoid",), _become("HardSigmoid", 1)), "soft"),
    "bias_to_nothing": (Rule("bias_to_nothing", ("Conv",), _forget_bias), "norm"),
    "gemm_bias_to_nothing": (Rule("gemm_bias_to_nothing", ("Gemm",), _forget_bias), "hidden"),
    "concat_turned": (Rule("concat_turned", ("Concat",), _turn), "node_cat"),
    "difference_turned": (Rule("difference_turned", ("Sub",), _turn), "node_sub_8"),
    "product_to_quotient": (Rule("product_to_quotient", ("Mul",), _take_wrong_scale), "bend"),
    "sum_to_product": (Rule("sum_to_product", ("Add",), _become("Mul", 2)), "bend"),
    "min_to_max": (Rule("min_to_max", ("Min",), _become("Max", 2)), "bend"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found_and_named_with_its_layer(
    name: str, original: Original, whole: ir.Model
) -> None:
    broken, layer = BROKEN[name]
    rules = (broken, *RULES)
    wrong = optimise(whole, rules)
    search = CulpritSearch(original, whole, wrong.firings, rules)
    session = Session(serialise(wrong.model), [IMAGES.name])
    with pytest.raises(ParityError) as failed:
        verify(original, session, generate_samples([IMAGES]), {}, search.find)
    assert str(failed.value.hint).startswith(f"first differing after rule `{name}` at `{layer}`")


def test_without_a_second_conversion_the_next_layer_is_named(original: Original, whole: ir.Model) -> None:
    faulty = whole.clone()
    next(fault for fault in FAULTS if fault.name == "a weight's sign").plant(faulty)
    file = optimise(faulty).model
    said = find_first_difference(original, file, None, _find_hardest(_compare(original, file)))
    assert said == "first differing layer: `soft` (Swish)"


def test_weights_of_another_model_are_named(original: Original, whole: ir.Model) -> None:
    faulty = whole.clone()
    next(fault for fault in FAULTS if fault.name == "classes exchanged").plant(faulty)
    file = optimise(faulty).model
    said = find_first_difference(
        original, file, optimise(whole).model, _find_hardest(_compare(original, file))
    )
    assert said == "first differing layer: `head` (Linear); not the model's in the file: `head.weight`"
