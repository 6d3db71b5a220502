import os
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from adaptact.providers.catalogue import PROVIDERS
from adaptive_act import Activation
from convert.errors import DestinationError, ExportError, ParityError, SourceError, UsageError
from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute
from convert.graph.rule import FIRED, Outcome, Rule
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.parity.small_signals import SIZES
from convert.parity.verify import Original
from convert.pipeline import STAGES, convert
from convert.precision.budgets import Precision
from convert.rules import RULES
from convert.sources.fold import fold
from convert.sources.source import compute_digest
from convert.tuning.tune import TuningOptions
from tests.convert.models import classifier, save_checkpoint, save_graph


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("source") / "model.pt")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_graph(tmp_path_factory.mktemp("graph") / "model.onnx")


@pytest.fixture(scope="module")
def converted(source: Path) -> Path:
    destination = source.with_suffix(".onnx")
    convert(source, destination)
    return destination


def _read_manifest(path: Path) -> Manifest:
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return Manifest.from_json(entries[MANIFEST_KEY])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 5])
def test_the_file_computes_what_the_model_computes(converted: Path, batch: int) -> None:
    x = torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(batch))
    session = ort.InferenceSession(converted, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": x.numpy()})
    expected = classifier().double()(x.double()).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_the_file_is_standard_onnx_without_private_data(converted: Path) -> None:
    proto = onnx.load(converted)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions
    assert not any(tensor.external_data for tensor in proto.graph.initializer)
    content = converted.read_bytes()
    for private in (b"pkg.torch", os.fsencode(Path.cwd()), b"site-packages", b".py", b"/tmp/"):
        assert private not in content


def test_the_manifest_records_the_conversion(converted: Path, source: Path) -> None:
    manifest = _read_manifest(converted)
    assert manifest.source_digest == compute_digest(source)
    assert manifest.classes == ("a", "b", "c", "d")
    assert [(record.layer, record.kind) for record in manifest.activations] == [
        ("2", "PELU"),
        ("5", "PELU"),
        ("9", "PELU"),
    ]
    assert {record.rule for record in manifest.fired} >= {
        "scale_into_previous",
        "scale_into_next",
        "elu_to_exp",
    }
    assert "on rows `Elu` fuses into the Gemm before it" in {record.reason for record in manifest.declined}
    (output,) = manifest.parity.outputs
    assert output.file_error <= output.allowed
    assert output.tolerance is None
    assert manifest.inputs[0].shape == ("batch", 3, 8, 8)
    assert manifest.inputs[0].dtype == "float32"


def test_the_manifest_names_the_operators_of_each_activation(converted: Path) -> None:
    in_file = [node.op_type for node in onnx.load(converted).graph.node]
    for record in _read_manifest(converted).activations:
        assert record.operators
        for name in record.operators:
            in_file.remove(name)  # raises if the file has fewer
    assert in_file == ["Conv", "MaxPool", "Conv", "ReduceMean", "Reshape", "Gemm", "Gemm"]


def test_the_manifests_learned_values_and_curves_are_the_models(converted: Path) -> None:
    activation = classifier().get_submodule("2")
    assert isinstance(activation, Activation)
    (record, *_) = _read_manifest(converted).activations
    for name, value in activation.values().items():
        np.testing.assert_allclose(record.values[name], value.numpy(), rtol=1e-8)
    points = torch.tensor(record.curve.points, dtype=torch.float64)
    expected = activation.double()(points).detach().numpy()
    np.testing.assert_allclose(record.curve.values[0], expected, rtol=1e-8)


@pytest.mark.slow
def test_the_stages_begin_in_order_and_give_the_same_bytes_again(
    source: Path, converted: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    convert(source, tmp_path / "m.onnx", on_stage=stages.append)
    assert stages == [stage for stage in STAGES if stage != "tune"]
    assert (tmp_path / "m.onnx").read_bytes() == converted.read_bytes()


def test_graph_and_manifest_are_one_protobuf_message(converted: Path) -> None:
    content = converted.read_bytes()
    assert onnx.load_from_string(content).SerializeToString(deterministic=True) == content


@pytest.mark.slow
def test_own_samples_are_part_of_the_evidence(graph: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", image=np.ones((70, 3, 8, 8), np.float32))
    manifest = convert(graph, tmp_path / "m.onnx", samples=tmp_path / "s.npz")
    assert [(record.name, record.samples) for record in manifest.parity.sets][-2:] == [
        ("given, 0", 64),
        ("given, 64", 6),
    ]


def _spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, folding changes one weight by a twentieth."""

    def spoiled(model: nn.Module) -> nn.Module:
        folded = fold(model)
        weight = folded.get_parameter("8.weight").clone()
        weight.view(-1)[3] *= 1.05
        folded.get_submodule("8").weight = nn.Parameter(weight, requires_grad=False)
        return folded

    monkeypatch.setattr("convert.pipeline.fold", spoiled)


@pytest.mark.slow
def test_nothing_is_written_where_parity_fails(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch)
    with pytest.raises(ParityError, match="parity failed for output `logits`") as exc_info:
        convert(source, tmp_path / "m.onnx")
    assert exc_info.value.hint == "first differing layer: `8` (Linear)"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_stage_that_changes_shared_weights_is_caught(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written_into(model: nn.Module) -> nn.Module:
        folded = fold(model)
        folded.get_parameter("8.weight").view(-1)[3] *= 1.05
        return folded

    monkeypatch.setattr("convert.pipeline.fold", written_into)
    with pytest.raises(ParityError, match="parity failed for output `logits`"):
        convert(source, tmp_path / "m.onnx")


@pytest.mark.slow
def test_the_model_runs_once_on_each_set_before_export(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    runs: list[str] = []

    def counted(original: Original, arrays: Sequence[Array]) -> dict[str, Array]:
        runs.append(stages[-1])
        return reference(original, arrays)

    reference = Original.run_float64
    monkeypatch.setattr(Original, "run_float64", counted)
    manifest = convert(source, tmp_path / "m.onnx", on_stage=stages.append)
    assert runs == ["reference"] * (len(manifest.parity.sets) + len(SIZES))


@pytest.mark.parametrize(("limit", "collections"), [(0, 1), (2**20, 0)])
def test_large_weights_are_collected_before_parity(
    limit: int, collections: int, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = Mock()
    monkeypatch.setattr("convert.writing.COLLECTED", limit)
    monkeypatch.setattr("convert.writing.gc.collect", collect)
    convert(converted, tmp_path / "m.onnx")
    assert collect.call_count == collections


@pytest.mark.slow
def test_a_model_that_fails_on_one_sample_is_explained(
    tmp_path: Path,
) -> None:
    torch.save(Pairs().state_dict(), tmp_path / "s.pt")
    with pytest.raises(ExportError, match="torch cannot write the model as ONNX"):
        convert(
            tmp_path / "s.pt",
            tmp_path / "m.onnx",
            factory=f"{__name__}:Pairs",
            inputs=[parse_input("x:float32[N,3]")],
        )


class Pairs(nn.Module):
    """One that takes two samples at a time, though its input is said to be free."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, 3) * self.scale


@pytest.mark.slow
def test_a_tolerance_lets_it_pass_and_the_manifest_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch)
    manifest = convert(source, tmp_path / "m.onnx", tolerances={"logits": 0.1})
    assert manifest.parity.outputs[0].tolerance == 0.1


@pytest.mark.parametrize(
    ("tolerances", "reason"),
    [
        ({"other": 0.1}, r"outputs are \['logits'\]"),
        ({"logits": 0.0}, "above 0 to 1"),
        ({"logits": float("nan")}, "above 0"),
    ],
)
def test_a_tolerance_that_cannot_be_meant_is_wrong_use(
    source: Path, tmp_path: Path, tolerances: dict[str, float], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        convert(source, tmp_path / "m.onnx", tolerances=tolerances)
    assert not list(tmp_path.iterdir())


def test_the_destination_is_looked_at_before_the_source(tmp_path: Path) -> None:
    with pytest.raises(DestinationError):
        convert(tmp_path / "missing.pt", tmp_path / "nowhere" / "m.onnx")
    with pytest.raises(SourceError):
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx")


def test_the_source_is_never_overwritten(source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the file to convert"):
        convert(source, source)
    assert source.read_bytes() == before


@pytest.mark.slow
def test_a_rule_that_breaks_parity_is_dropped_and_named(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by_a_little(node: ir.Node) -> Outcome:
        if get_attribute(node, "alpha", 1) != 1:
            return None
        edit = Edit(node)
        edit.replace(edit.op("Elu", *node.inputs, alpha=1.01))  # type: ignore[arg-type]
        return FIRED

    spoiled = Rule("off_by_a_little", ("Elu",), off_by_a_little)
    monkeypatch.setattr("convert.rewriting.optimise.RULES", (spoiled, *RULES))
    manifest = convert(graph, tmp_path / "m.onnx")
    (dropped,) = manifest.dropped
    assert dropped.rule == "off_by_a_little"
    assert dropped.reason.startswith("parity failed for output `logits`")
    assert {record.rule for record in manifest.fired} >= {"scale_into_previous", "elu_to_exp"}
    assert _read_manifest(tmp_path / "m.onnx").dropped == manifest.dropped


def _cast_to_float64(node: ir.Node) -> Outcome:
    """ONNX Runtime has none of Elu for float64."""
    edit = Edit(node)
    wide = edit.op("Cast", *node.inputs, to=ir.DataType.DOUBLE)  # type: ignore[arg-type]
    edit.replace(edit.op("Cast", edit.op("Elu", wide), to=ir.DataType.FLOAT))
    return FIRED


def _reshape_to_one_row(node: ir.Node) -> Outcome:
    """Two samples cannot be one."""
    value = node.inputs[0]
    if value is None or value.shape is None or len(value.shape) != 2:
        return None
    edit = Edit(node)
    shape = edit.constant(np.array([1, value.shape[1]]), np.dtype(np.int64), "shape")
    edit.replace(edit.op("Relu", edit.op("Reshape", value, shape)))
    return FIRED


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_rule_with_unsupported_operators_is_dropped(
    precision: Precision, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = Rule("no_kernel", ("Elu",), _cast_to_float64)
    monkeypatch.setattr("convert.rewriting.optimise.RULES", (spoiled, *RULES))
    manifest = convert(graph, tmp_path / "m.onnx", precision=precision)
    (dropped,) = manifest.dropped
    assert dropped.rule == "no_kernel"
    assert dropped.reason.startswith("ONNX Runtime refuses the graph")
    assert "elu_to_exp" in {record.rule for record in manifest.fired}


@pytest.mark.slow
def test_a_rule_whose_graph_does_not_take_all_samples_is_dropped(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = Rule("no_such_sizes", ("Elu",), _reshape_to_one_row)
    monkeypatch.setattr("convert.rewriting.optimise.RULES", (spoiled, *RULES))
    (dropped,) = convert(graph, tmp_path / "m.onnx").dropped
    assert dropped.rule == "no_such_sizes"
    assert dropped.reason.startswith("ONNX Runtime cannot run the graph")


@pytest.mark.skipif(
    PROVIDERS["cuda"].native in ort.get_available_providers(), reason="this machine may have it"
)
def test_a_missing_provider_is_refused_before_loading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="provider `cuda` was asked for"):
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", provider="cuda")
    with pytest.raises(UsageError, match="provider `cuda` was asked for"):
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", tuning=TuningOptions(provider="cuda"))
