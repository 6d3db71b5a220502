import copy

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.external import count_weight_bytes
from convert.artefact.file import serialise
from convert.errors import PrecisionError, UsageError
from convert.model_io.samples import generate_samples
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions
from convert.precision.quantise import (
    PrecisionOptions,
    QuantisedModel,
    RoundingTask,
    quantise,
    round_everywhere,
)
from tests.convert.models import make_activation, optimise_model
from tests.convert.precision.networks import (
    NETWORKS,
    ROWS,
    at_opset,
    calibration,
    data,
    given,
    network,
    operators,
    original,
    rows,
)

METHODS = ("fp16", "dynamic", "static")
LOOSE = BudgetOptions(min_agreement=0.9)
NOTHING = BudgetOptions(max_error=1e-9)


def _wanted(method: str, spec_name: str, asked: BudgetOptions = LOOSE) -> RoundingTask:
    _, spec, _ = network(spec_name)
    if method == "fp16":
        return RoundingTask("fp16", asked)
    return RoundingTask("int8", asked, calibration(data(spec, 1024)) if method == "static" else None)


def _rounded(name: str, method: str, asked: BudgetOptions = LOOSE) -> QuantisedModel:
    _, spec, graph = network(name)
    return quantise(graph, original(name), given(data(spec, 100, 8)), _wanted(method, name, asked))


def _run(model: ir.Model, array: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(serialise(model), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: array})
    return np.asarray(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_rounded_file_is_standard_smaller_and_close(name: str, method: str) -> None:
    model, spec, graph = network(name)
    rounded = _rounded(name, method)
    content = serialise(rounded.model)
    proto = onnx.load_model_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert [entry.domain for entry in proto.opset_import] == [""]
    assert proto.opset_import[0].version == 20
    assert (rounded.method, rounded.kept, rounded.judged_on) == (method, (), "given")
    assert count_weight_bytes(rounded.model) < 0.7 * count_weight_bytes(graph)
    for batch in (1, 5):
        x = data(spec, batch, seed=40 + batch)
        expected = model(torch.from_numpy(x)).detach().numpy()
        found = _run(rounded.model, x)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("opset", [17, 20])
def test_the_opset_is_the_one_asked_for(opset: int, method: str) -> None:
    _, spec, _ = network("images")
    sets = given(data(spec, 64, 8))
    rounded = quantise(at_opset(opset), original("images"), sets, _wanted(method, "images"))
    proto = onnx.load_model_from_string(serialise(rounded.model))
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", opset)]
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_said_to_be_lost_is_lost(method: str) -> None:
    model, spec, _ = network("rows")
    rounded = _rounded("rows", method)
    x = data(spec, 100, 8)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(torch.from_numpy(x).double()).numpy()
    found = _run(rounded.model, x)
    (loss,) = rounded.losses.losses
    scale = np.abs(expected).max()
    np.testing.assert_allclose(loss.largest, np.abs(found - expected).max() / scale, rtol=1e-9)
    np.testing.assert_allclose(loss.mean_square, (((found - expected) / scale) ** 2).mean(), rtol=1e-9)
    assert loss.agreed == (found.argmax(1) == expected.argmax(1)).sum()


def test_weights_have_a_scale_for_each_channel_and_seven_bits() -> None:
    rounded = _rounded("images", "static")
    convs = [node for node in rounded.model.graph if node.op_type == "Conv"]
    assert len(convs) == 2
    for conv in convs:
        source = conv.inputs[1].producer()  # type: ignore[union-attr]
        assert source is not None
        assert (source.op_type, source.attributes["axis"].value) == ("DequantizeLinear", 0)
        whole, scale, _ = (value.const_value.numpy() for value in source.inputs)  # type: ignore[union-attr]
        assert whole.dtype == np.int8
        assert np.abs(whole.astype(int)).max() <= 64
        assert scale.shape == (len(whole),)
        assert len(set(scale.tolist())) == len(whole)
        assert np.all(np.abs(whole.reshape(len(whole), -1).astype(int)).max(1) >= 63)


def test_the_outputs_are_not_rounded_to_steps() -> None:
    found = _run(_rounded("rows", "static").model, data(ROWS, 2000, 11))
    assert len(np.unique(found)) > 4 * 256


def test_a_clamp_that_rounding_does_again_goes_and_its_values_stay() -> None:
    model, spec, graph = network("relu")
    rounded = _rounded("relu", "static")
    assert {"Relu", "Clip"} & set(operators(graph))
    assert not {"Relu", "Clip"} & set(operators(rounded.model))
    x = data(spec, 64, 12)
    expected = model(torch.from_numpy(x)).detach().numpy()
    with torch.no_grad():
        assert (model[:3](torch.from_numpy(x)) > 6).any()  # type: ignore[index]  # the Clip has something to do
    assert np.abs(_run(rounded.model, x) - expected).max() < 0.05 * np.abs(expected).max()


def test_without_calibration_data_products_round_as_they_come() -> None:
    found = operators(_rounded("rows", "dynamic").model)
    assert found.count("MatMulInteger") == found.count("DynamicQuantizeLinear") == 3
    assert not {"Gemm", "MatMul"} & set(found)


def test_without_calibration_data_convolutions_have_rounded_weights_and_compute_in_float() -> None:
    rounded = _rounded("images", "dynamic")
    assert rounded.calibration is None
    convs = [node for node in rounded.model.graph if node.op_type == "Conv"]
    assert len(convs) == 2
    for conv in convs:
        assert conv.inputs[1] is not None
        product = conv.inputs[1].producer()
        assert product is not None
        whole = product.inputs[0].producer().inputs[0].const_value.numpy()  # type: ignore[union-attr]
        assert whole.dtype == np.int8
        assert np.all(np.abs(whole.reshape(len(whole), -1).astype(int)).max(1) == 127)


def test_an_activation_that_rounds_badly_stays_in_float_and_is_named() -> None:
    whole = _rounded("cube", "static", BudgetOptions(max_error=1, min_agreement=0))
    (loss,) = whole.losses.losses
    asked = BudgetOptions(max_error=loss.largest * 0.6, min_agreement=0)
    rounded = _rounded("cube", "static", asked)
    assert rounded.kept
    assert rounded.kept[0].site.kind == "Cube"
    assert rounded.kept[0].site.layer == "3"
    assert rounded.losses.losses[0].largest <= asked.max_error  # type: ignore[operator]
    assert "4.weight" in rounded.model.graph.initializers
    assert "4.weight" not in whole.model.graph.initializers
    assert len(rounded.kept) < rounded.sites


@pytest.mark.parametrize("method", METHODS)
def test_what_loses_too_much_is_refused_with_budget_and_way_out(method: str) -> None:
    with pytest.raises(PrecisionError) as failed:
        _rounded("rows", method, NOTHING)
    said = str(failed.value)
    assert "output `y` is off by" in said
    assert "allowed 0.00% (--max-error)" in said
    assert "in float" in said
    assert "--calibration" in (failed.value.hint or "")


def test_a_planted_wrong_weight_does_not_pass() -> None:
    _, spec, graph = network("rows")
    wrong = graph.clone()
    value = next(value for value in wrong.graph.initializers.values() if value.shape == ir.Shape([32, 32]))
    assert value.const_value is not None
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.4), name=value.name)
    with pytest.raises(PrecisionError, match="--max-error"):
        quantise(wrong, original("rows"), given(data(spec)), _wanted("static", "rows"))


def test_accuracy_is_judged_on_labels() -> None:
    _, spec, graph = network("rows")
    x = data(spec, 100, 8)
    right = _run(graph, x).argmax(1)
    wanted = RoundingTask("int8", BudgetOptions(min_agreement=0, max_error=1), None, right)
    found = quantise(graph, original("rows"), given(x), wanted)
    assert found.losses.accuracy is not None
    assert found.losses.accuracy.original == 100
    assert found.losses.accuracy.file == found.losses.losses[0].agreed


def test_a_drop_of_accuracy_is_refused() -> None:
    _, spec, graph = network("cube")
    x = data(spec, 300, 8)
    asked = BudgetOptions(min_agreement=0, max_error=1, max_accuracy_drop=0.0)
    wanted = RoundingTask("int8", asked, calibration(data(spec) * 30), _run(graph, x).argmax(1))
    with pytest.raises(PrecisionError, match=r"accuracy of `y` drops by .*--max-accuracy-drop"):
        quantise(graph, original("cube"), given(x), wanted)


def test_without_samples_the_calibration_data_or_generated_ones_are_judged() -> None:
    _, spec, graph = network("rows")
    sets = generate_samples([spec])
    static = quantise(
        graph, original("rows"), sets, _wanted("static", "rows", BudgetOptions(min_agreement=0))
    )
    assert (static.judged_on, static.losses.samples) == ("calibration", 1024)
    dynamic = quantise(graph, original("rows"), sets, RoundingTask("int8", BudgetOptions()))
    assert (dynamic.judged_on, dynamic.losses.losses[0].agreed) == ("generated", None)
    asked = quantise(graph, original("rows"), sets, RoundingTask("int8", BudgetOptions(min_agreement=0.1)))
    assert asked.losses.losses[0].compared == asked.losses.samples


class Class(nn.Module):
    """Which of the scores is the largest, a whole number."""

    def __init__(self, scores: nn.Module) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, row: Tensor) -> Tensor:
        """[N, 16] -> [N]."""
        found: Tensor = self.scores(row)
        return found.argmax(1)


def test_whole_numbers_have_to_be_equal_on_generated_samples_too() -> None:
    scores = rows(make_activation("PELU"), make_activation("PELU"), steep=4)
    scores[-1] = nn.Linear(32, 500)
    model = Class(scores).eval()
    graph, sets = optimise_model(model, ROWS).model, generate_samples([ROWS])
    whole = quantise(
        graph, Original(model, ["y"]), sets, RoundingTask("int8", BudgetOptions(min_agreement=0))
    )
    assert whole.losses.losses[0].agreement < 0.98  # type: ignore[operator]  # whole numbers have one
    strict = quantise(graph, Original(model, ["y"]), sets, RoundingTask("int8", BudgetOptions()))
    assert strict.losses.losses[0].agreement >= 0.98  # type: ignore[operator]
    assert not whole.kept
    assert strict.kept[0].share > 0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (PrecisionOptions("fp32", budgets=BudgetOptions(max_error=0.1)), "fp32 is judged by parity"),
        (PrecisionOptions("int8", budgets=BudgetOptions(max_error=float("nan"))), "is no share"),
        (PrecisionOptions("int8", budgets=BudgetOptions(min_agreement=1.5)), "is no share"),
        (PrecisionOptions("int8", budgets=BudgetOptions(max_accuracy_drop=0.1)), "needs samples with labels"),
    ],
)
def test_budgets_that_cannot_be_meant_are_wrong_use(request_: PrecisionOptions, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        request_.require_consistent()


def test_progress_is_told() -> None:
    _, spec, graph = network("rows")
    told: list[tuple[str, int, int]] = []
    with pytest.raises(PrecisionError):
        quantise(
            graph,
            original("rows"),
            given(data(spec)),
            _wanted("static", "rows", NOTHING),
            on_progress=lambda *what: told.append(what),
        )
    assert told == [("calibrate", 1, 1), ("rank", 1, 3), ("rank", 2, 3), ("rank", 3, 3)]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_timed_is_rounded_everywhere(method: str) -> None:
    _, spec, graph = network("rows")
    sets, wanted = given(data(spec, 100, 8)), _wanted(method, "rows", NOTHING)
    timed = round_everywhere(graph, original("rows"), sets, wanted)
    rounded = _rounded("rows", method)
    assert not rounded.kept
    assert operators(timed) == operators(rounded.model)


def test_what_is_timed_in_float32_is_the_graph_itself() -> None:
    _, spec, graph = network("rows")
    assert (
        round_everywhere(graph, original("rows"), given(data(spec)), RoundingTask("fp32", BudgetOptions()))
        is graph
    )
