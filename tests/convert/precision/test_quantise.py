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
    as_calibration,
    as_own_samples,
    build_network,
    build_original,
    build_rows_network,
    export_at_opset,
    list_operators,
    make_samples,
)

METHODS = ("fp16", "dynamic", "static")
LOOSE = BudgetOptions(min_agreement=0.9)
NOTHING = BudgetOptions(max_error=1e-9)


def _make_task(method: str, spec_name: str, options: BudgetOptions = LOOSE) -> RoundingTask:
    _, spec, _ = build_network(spec_name)
    if method == "fp16":
        return RoundingTask("fp16", options)
    return RoundingTask(
        "int8", options, as_calibration(make_samples(spec, 1024)) if method == "static" else None
    )


def _quantise(name: str, method: str, options: BudgetOptions = LOOSE) -> QuantisedModel:
    _, spec, graph = build_network(name)
    return quantise(
        graph,
        build_original(name),
        as_own_samples(make_samples(spec, 100, 8)),
        _make_task(method, name, options),
    )


def _run(model: ir.Model, array: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(serialise(model), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: array})
    return np.asarray(result)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_rounded_file_is_standard_smaller_and_close(name: str, method: str) -> None:
    model, spec, graph = build_network(name)
    rounded = _quantise(name, method)
    content = serialise(rounded.model)
    proto = onnx.load_model_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert [entry.domain for entry in proto.opset_import] == [""]
    assert proto.opset_import[0].version == 20
    assert (rounded.method, rounded.kept, rounded.judged_on) == (method, (), "given")
    assert count_weight_bytes(rounded.model) < 0.7 * count_weight_bytes(graph)
    for batch in (1, 5):
        x = make_samples(spec, batch, seed=40 + batch)
        expected = model(torch.from_numpy(x)).detach().numpy()
        result = _run(rounded.model, x)
        assert result.dtype == np.float32
        assert np.abs(result - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("opset", [17, 20])
def test_the_opset_is_the_one_asked_for(opset: int, method: str) -> None:
    _, spec, _ = build_network("images")
    sets = as_own_samples(make_samples(spec, 64, 8))
    rounded = quantise(export_at_opset(opset), build_original("images"), sets, _make_task(method, "images"))
    proto = onnx.load_model_from_string(serialise(rounded.model))
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", opset)]
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("method", METHODS)
def test_reported_losses_are_the_measured_ones(method: str) -> None:
    model, spec, _ = build_network("rows")
    rounded = _quantise("rows", method)
    x = make_samples(spec, 100, 8)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(torch.from_numpy(x).double()).numpy()
    result = _run(rounded.model, x)
    (loss,) = rounded.losses.losses
    scale = np.abs(expected).max()
    np.testing.assert_allclose(loss.largest, np.abs(result - expected).max() / scale, rtol=1e-9)
    np.testing.assert_allclose(loss.mean_square, (((result - expected) / scale) ** 2).mean(), rtol=1e-9)
    assert loss.agreed == (result.argmax(1) == expected.argmax(1)).sum()


def test_weights_have_a_scale_for_each_channel_and_eight_bits() -> None:
    rounded = _quantise("images", "static")
    convs = [node for node in rounded.model.graph if node.op_type == "Conv"]
    assert len(convs) == 2
    for conv in convs:
        source = conv.inputs[1].producer()  # type: ignore[union-attr]
        assert source is not None
        assert (source.op_type, source.attributes["axis"].value) == ("DequantizeLinear", 0)
        whole, scale, _ = (value.const_value.numpy() for value in source.inputs)  # type: ignore[union-attr]
        assert whole.dtype == np.int8
        assert np.abs(whole.astype(int)).max() <= 127
        assert scale.shape == (len(whole),)
        assert len(set(scale.tolist())) == len(whole)
        assert np.all(np.abs(whole.reshape(len(whole), -1).astype(int)).max(1) == 127)


def test_the_outputs_are_not_rounded_to_steps() -> None:
    result = _run(_quantise("rows", "static").model, make_samples(ROWS, 2000, 11))
    assert len(np.unique(result)) > 4 * 256


@pytest.mark.slow
def test_a_clamp_that_rounding_repeats_is_removed() -> None:
    model, spec, graph = build_network("relu")
    rounded = _quantise("relu", "static")
    assert {"Relu", "Clip"} & set(list_operators(graph))
    assert not {"Relu", "Clip"} & set(list_operators(rounded.model))
    x = make_samples(spec, 64, 12)
    expected = model(torch.from_numpy(x)).detach().numpy()
    with torch.no_grad():
        assert (model[:3](torch.from_numpy(x)) > 6).any()  # type: ignore[index]  # the Clip has something to do
    assert np.abs(_run(rounded.model, x) - expected).max() < 0.05 * np.abs(expected).max()


def test_without_calibration_data_products_round_as_they_come() -> None:
    result = list_operators(_quantise("rows", "dynamic").model)
    assert result.count("MatMulInteger") == result.count("DynamicQuantizeLinear") == 3
    assert not {"Gemm", "MatMul"} & set(result)


def test_dynamic_convolutions_round_only_their_weights() -> None:
    rounded = _quantise("images", "dynamic")
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


@pytest.mark.slow
def test_an_activation_that_rounds_badly_stays_in_float() -> None:
    whole = _quantise("cube", "static", BudgetOptions(max_error=1, min_agreement=0))
    options = BudgetOptions(max_error=whole.losses.largest * 0.25, min_agreement=0)
    rounded = _quantise("cube", "static", options)
    assert rounded.kept
    assert rounded.kept[0].site.kind == "Cube"
    assert rounded.kept[0].site.layer == "3"
    assert rounded.losses.losses[0].largest <= options.max_error  # type: ignore[operator]
    assert "4.weight" in rounded.model.graph.initializers
    assert "4.weight" not in whole.model.graph.initializers
    assert len(rounded.kept) < rounded.sites


@pytest.mark.parametrize("method", METHODS)
def test_too_large_a_loss_is_refused_with_a_hint(method: str) -> None:
    with pytest.raises(PrecisionError) as exc_info:
        _quantise("rows", method, NOTHING)
    text = str(exc_info.value)
    assert "output `y` is off by" in text
    assert "allowed 0.00% (--max-error)" in text
    assert "in float" in text
    assert "--calibration" in (exc_info.value.hint or "")


def test_a_planted_wrong_weight_does_not_pass() -> None:
    _, spec, graph = build_network("rows")
    wrong = graph.clone()
    value = next(value for value in wrong.graph.initializers.values() if value.shape == ir.Shape([32, 32]))
    assert value.const_value is not None
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.4), name=value.name)
    with pytest.raises(PrecisionError, match="--max-error"):
        quantise(
            wrong, build_original("rows"), as_own_samples(make_samples(spec)), _make_task("static", "rows")
        )


def test_accuracy_is_judged_on_labels() -> None:
    _, spec, graph = build_network("rows")
    x = make_samples(spec, 100, 8)
    right = _run(graph, x).argmax(1)
    task = RoundingTask("int8", BudgetOptions(min_agreement=0, max_error=1), None, right)
    result = quantise(graph, build_original("rows"), as_own_samples(x), task)
    assert result.losses.accuracy is not None
    assert result.losses.accuracy.original == 100
    assert result.losses.accuracy.file == result.losses.losses[0].agreed


def test_a_drop_of_accuracy_is_refused() -> None:
    _, spec, graph = build_network("cube")
    x = make_samples(spec, 300, 8)
    options = BudgetOptions(min_agreement=0, max_error=1, max_accuracy_drop=0.0)
    task = RoundingTask("int8", options, as_calibration(make_samples(spec) * 30), _run(graph, x).argmax(1))
    with pytest.raises(PrecisionError, match=r"accuracy of `y` drops by .*--max-accuracy-drop"):
        quantise(graph, build_original("cube"), as_own_samples(x), task)


def test_without_own_samples_others_are_judged() -> None:
    _, spec, graph = build_network("rows")
    sets = generate_samples([spec])
    static = quantise(
        graph, build_original("rows"), sets, _make_task("static", "rows", BudgetOptions(min_agreement=0))
    )
    assert (static.judged_on, static.losses.samples) == ("calibration", 1024)
    dynamic = quantise(graph, build_original("rows"), sets, RoundingTask("int8", BudgetOptions()))
    assert (dynamic.judged_on, dynamic.losses.losses[0].agreed) == ("generated", None)
    options = quantise(
        graph, build_original("rows"), sets, RoundingTask("int8", BudgetOptions(min_agreement=0.1))
    )
    assert options.losses.losses[0].compared == options.losses.samples


class Class(nn.Module):
    """Which of the scores is the largest, a whole number."""

    def __init__(self, scores: nn.Module) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, row: Tensor) -> Tensor:
        """[N, 16] -> [N]."""
        result: Tensor = self.scores(row)
        return result.argmax(1)


@pytest.mark.slow
def test_whole_numbers_have_to_be_equal_on_generated_samples_too() -> None:
    scores = build_rows_network(make_activation("PELU"), make_activation("PELU"), steep=4)
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


def test_progress_is_reported() -> None:
    _, spec, graph = build_network("rows")
    calls: list[tuple[str, int, int]] = []
    with pytest.raises(PrecisionError):
        quantise(
            graph,
            build_original("rows"),
            as_own_samples(make_samples(spec)),
            _make_task("static", "rows", NOTHING),
            on_progress=lambda *what: calls.append(what),
        )
    assert calls == [("calibrate", 1, 1), ("rank", 1, 3), ("rank", 2, 3), ("rank", 3, 3)]


@pytest.mark.parametrize("method", METHODS)
def test_the_timed_graph_is_rounded_everywhere(method: str) -> None:
    _, spec, graph = build_network("rows")
    sets, task = as_own_samples(make_samples(spec, 100, 8)), _make_task(method, "rows", NOTHING)
    timed = round_everywhere(graph, build_original("rows"), sets, task)
    rounded = _quantise("rows", method)
    assert not rounded.kept
    assert list_operators(timed) == list_operators(rounded.model)


def test_the_timed_float32_graph_is_the_graph_itself() -> None:
    _, spec, graph = build_network("rows")
    assert (
        round_everywhere(
            graph,
            build_original("rows"),
            as_own_samples(make_samples(spec)),
            RoundingTask("fp32", BudgetOptions()),
        )
        is graph
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_constant_is_left_that_nothing_reads(name: str, method: str) -> None:
    """ONNX Runtime warns of each, whenever the file is loaded."""
    constants = _quantise(name, method).model.graph.initializers
    assert [key for key, value in constants.items() if not value.uses()] == []
