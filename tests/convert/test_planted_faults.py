"""Each planted fault fails parity, and the layer in which it lies is named."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from convert.artefact.file import serialise
from convert.errors import ParityError
from convert.graph.nodes import Edit, constant
from convert.graph.rule import FIRED, Outcome, Rule
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet, generated
from convert.parity.divergence import first_difference
from convert.parity.locate import Suspects
from convert.parity.verify import Original, Parity, measure, verify
from convert.rewriting.optimise import optimise
from convert.rules import RULES
from tests.convert.faults import FAULTS, Fault
from tests.convert.models import IMAGES, exported
from tests.convert.network import network


@pytest.fixture(scope="module")
def original() -> Original:
    return Original(network(), ["y"])


@pytest.fixture(scope="module")
def whole() -> ir.Model:
    return exported(network())


def _compared(original: Original, file: ir.Model) -> Parity:
    return measure(original, Session(serialise(file), [IMAGES.name]), generated([IMAGES]), {})


def _hardest(parity: Parity) -> SampleSet:
    return next(samples for samples in generated([IMAGES]) if samples.name == parity.worst.run)


def test_there_are_enough_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20


def test_without_a_fault_parity_passes(original: Original, whole: ir.Model) -> None:
    assert _compared(original, optimise(whole).model).passed


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_and_its_layer_named(
    fault: Fault, original: Original, whole: ir.Model
) -> None:
    faulty = whole.clone()
    fault.plant(faulty)
    file = optimise(faulty).model
    parity = _compared(original, file)
    assert not parity.passed
    said = first_difference(original, file, optimise(whole).model, _hardest(parity))
    assert any(f"`{layer}`" in said.partition(";")[0] for layer in fault.layers), said


def _forgets_the_bias(node: ir.Node) -> Outcome:
    if len(node.inputs) < 3:
        return None
    edit = Edit(node)
    edit.replace(edit.again(*node.inputs[:2]))
    return FIRED


def _becomes(operator: str, inputs: int) -> Callable[[ir.Node], Outcome]:
    def rewrite(node: ir.Node) -> Outcome:
        edit = Edit(node)
        edit.replace(edit.op(operator, *(value for value in node.inputs[:inputs] if value is not None)))
        return FIRED

    return rewrite


def _turns(node: ir.Node) -> Outcome:
    first, second = node.inputs
    if "turned" in node.metadata_props:
        return None
    node.metadata_props["turned"] = "once"
    node.replace_input_with(0, second)
    node.replace_input_with(1, first)
    return FIRED


def _takes_the_wrong_scale(node: ir.Node) -> Outcome:
    """Divides by the constant where it should multiply."""
    edit = Edit(node)
    if constant(node.inputs[0]) is None:
        return None
    edit.replace(edit.op("Div", node.inputs[1], node.inputs[0]))  # type: ignore[arg-type]  # a product has two
    return FIRED


BROKEN = {
    "elu_to_relu": (Rule("elu_to_relu", ("Elu",), _becomes("Relu", 1)), "curve"),
    "gate_to_hard_gate": (Rule("gate_to_hard_gate", ("Sigmoid",), _becomes("HardSigmoid", 1)), "soft"),
    "bias_to_nothing": (Rule("bias_to_nothing", ("Conv",), _forgets_the_bias), "norm"),
    "gemm_bias_to_nothing": (Rule("gemm_bias_to_nothing", ("Gemm",), _forgets_the_bias), "hidden"),
    "concat_turned": (Rule("concat_turned", ("Concat",), _turns), "node_cat"),
    "difference_turned": (Rule("difference_turned", ("Sub",), _turns), "node_sub_8"),
    "product_to_quotient": (Rule("product_to_quotient", ("Mul",), _takes_the_wrong_scale), "bend"),
    "sum_to_product": (Rule("sum_to_product", ("Add",), _becomes("Mul", 2)), "bend"),
    "min_to_max": (Rule("min_to_max", ("Min",), _becomes("Max", 2)), "bend"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found_and_named_with_its_layer(
    name: str, original: Original, whole: ir.Model
) -> None:
    broken, layer = BROKEN[name]
    rules = (broken, *RULES)
    wrong = optimise(whole, rules)
    suspects = Suspects(original, whole, wrong.firings, rules)
    session = Session(serialise(wrong.model), [IMAGES.name])
    with pytest.raises(ParityError) as failed:
        verify(original, session, generated([IMAGES]), {}, suspects.culprit)
    assert str(failed.value.hint).startswith(f"first differing after rule `{name}` at `{layer}`")


def test_without_a_second_conversion_the_layer_after_the_last_that_agrees_is_named(
    original: Original, whole: ir.Model
) -> None:
    faulty = whole.clone()
    next(fault for fault in FAULTS if fault.name == "a weight's sign").plant(faulty)
    file = optimise(faulty).model
    said = first_difference(original, file, None, _hardest(_compared(original, file)))
    assert said == "first differing layer: `soft` (Swish)"


def test_the_weights_that_are_not_the_models_are_named(original: Original, whole: ir.Model) -> None:
    faulty = whole.clone()
    next(fault for fault in FAULTS if fault.name == "classes exchanged").plant(faulty)
    file = optimise(faulty).model
    said = first_difference(original, file, optimise(whole).model, _hardest(_compared(original, file)))
    assert said == "first differing layer: `head` (Linear); not the model's in the file: `head.weight`"
