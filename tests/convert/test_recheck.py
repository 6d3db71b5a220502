import dataclasses
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.evidence.inspection import OnnxFile, read_onnx_file
from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute
from convert.graph.rule import FIRED, Outcome, Rule
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.runtime import Session
from convert.pipeline import convert
from convert.recheck import RecheckOptions, read_inputs, recheck
from convert.rewriting.forms import ALTERNATIVES
from convert.rules import RULES
from convert.tuning.tune import TuningOptions
from tests.convert.graphs import IMAGE, ROWS, parse_graph, write_graph
from tests.convert.models import export_model, save_checkpoint, scale_one_weight
from tests.convert.network import make_network
from tests.convert.tuning.machine import PlantedMachine

ROOT = "tests.convert.network:make_network"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("source") / "model.pt")


@pytest.fixture(scope="module")
def file(source: Path) -> OnnxFile:
    convert(source, source.with_suffix(".onnx"))
    return read_onnx_file(source.with_suffix(".onnx"))


def _save(model: ir.Model, path: Path) -> OnnxFile:
    path.write_bytes(serialise(model))
    return read_onnx_file(path)


def _rename_values(model: ir.Model) -> ir.Model:
    """The graph with no name of a value left but those of its inputs and outputs."""
    renamed = model.clone()
    kept = {*renamed.graph.inputs, *renamed.graph.outputs}
    values = [value for node in renamed.graph for value in node.outputs if value not in kept]
    for number, value in enumerate([*renamed.graph.initializers.values(), *values]):
        value.name = f"t{number}"
    return renamed


@pytest.mark.slow
def test_a_file_with_other_names_is_compared_by_its_numbers(tmp_path: Path) -> None:
    torch.save(make_network().state_dict(), tmp_path / "s.pt")
    wrong = scale_one_weight(export_model(make_network()), "wide.weight", 1.5)
    result = recheck(
        tmp_path / "s.pt", _save(_rename_values(wrong), tmp_path / "f.onnx"), RecheckOptions(factory=ROOT)
    )
    assert result.failure is not None
    assert result.same_source is None
    assert result.culprit == "first differing layer: `wide` (Conv2d)"


@pytest.mark.slow
def test_an_onnx_file_is_checked_against_its_source(file: OnnxFile, tmp_path: Path) -> None:
    convert(file.path, tmp_path / "again.onnx")
    result = recheck(file.path, read_onnx_file(tmp_path / "again.onnx"), RecheckOptions())
    assert result.failure is None
    assert result.same_source


def test_a_failure_elsewhere_blames_no_layer(
    source: Path, file: OnnxFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that computes otherwise: every run of the file but the one on the CPU is off."""

    class Elsewhere(Session):
        def __init__(
            self, content: bytes, names: Sequence[str], provider: str = "cpu", *, folder: Path | None = None
        ) -> None:
            super().__init__(content, names, folder=folder)
            self.off = provider != "cpu"

        def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
            return {name: value * (1 + 1e-3 * self.off) for name, value in super().run(arrays).items()}

    monkeypatch.setattr("convert.recheck.require_provider", lambda provider: provider)
    monkeypatch.setattr("convert.recheck.Session", Elsewhere)
    result = recheck(source, file, RecheckOptions(provider="cuda"))
    assert result.failure is not None
    assert str(result.culprit).startswith("on the CPU the file passes")


@pytest.mark.slow
def test_a_files_own_tolerance_is_reported_not_trusted(source: Path, file: OnnxFile, tmp_path: Path) -> None:
    convert(source, tmp_path / "m.onnx", tolerances={"logits": 0.5})
    generous = read_onnx_file(tmp_path / "m.onnx")
    wrong = _save(scale_one_weight(generous.graph, "10.weight", 1.1), tmp_path / "w.onnx")
    result = recheck(source, dataclasses.replace(wrong, manifest=generous.manifest), RecheckOptions())
    assert str(result.culprit).endswith("; the file was written with --tolerance logits=0.5")
    assert recheck(source, wrong, RecheckOptions(tolerances={"logits": 0.5})).failure is None
    with pytest.raises(UsageError, match="expected a share of its scale"):
        recheck(source, file, RecheckOptions(tolerances={"logits": 2.0}))


def _make_remainder(sign_of_dividend: int) -> ir.Model:
    head = '<ir_version: 10, opset_import: ["" : 20]> g (int64[N] x) => (int64[N] y) <int64 seven = {7}>'
    return parse_graph(f"{head} {{ y = Mod<fmod = {sign_of_dividend}>(x, seven) }}")


def test_a_files_own_bound_of_numbers_is_reported_not_trusted(tmp_path: Path) -> None:
    """The two remainders are equal from 0 on."""
    source, bounded = tmp_path / "s.onnx", parse_input("x:int64[N]<50")
    source.write_bytes(serialise(_make_remainder(0)))
    manifest = convert(source, tmp_path / "m.onnx", inputs=[bounded])
    assert [record.below for record in manifest.inputs] == [50]
    other = dataclasses.replace(_save(_make_remainder(1), tmp_path / "o.onnx"), manifest=manifest)
    failed = recheck(source, other, RecheckOptions())
    assert failed.failure is not None
    assert str(failed.culprit).endswith("; the file was written with --input 'x:int64[N]<50'")
    assert recheck(source, other, RecheckOptions(inputs=[bounded])).failure is None


@pytest.mark.slow
def test_a_rule_that_the_file_was_made_without_is_not_blamed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(node: ir.Node) -> Outcome:
        if get_attribute(node, "alpha", 1) != 1:
            return None
        edit = Edit(node)
        edit.replace(edit.op("Elu", *node.inputs, alpha=1.01))  # type: ignore[arg-type]  # it has its input
        return FIRED

    monkeypatch.setattr("convert.rewriting.optimise.RULES", (Rule("off", ("Elu",), off), *RULES))
    convert(source, tmp_path / "m.onnx")
    made = read_onnx_file(tmp_path / "m.onnx")
    assert made.manifest is not None
    assert [record.rule for record in made.manifest.dropped] == ["off"]
    wrong = _save(scale_one_weight(made.graph, "10.weight", 1.1), tmp_path / "w.onnx")
    result = recheck(source, dataclasses.replace(wrong, manifest=made.manifest), RecheckOptions())
    assert str(result.culprit).startswith("first differing layer: `10` (Linear)")


@pytest.mark.slow
def test_a_tuned_file_is_remade_with_its_own_forms(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_shallow(node: ir.Node) -> Outcome:
        edit = Edit(node)
        edit.replace(edit.op("Neg", edit.op("Relu", *node.inputs)))  # type: ignore[arg-type]  # it has its input
        return FIRED

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("convert.writing.Target", lambda *given: PlantedMachine([{"Max": 0.01, "Elu": 0.01}]))
    manifest = convert(source, tmp_path / "m.onnx", tuning=TuningOptions())
    assert manifest.tuning is not None
    assert {record.form for record in manifest.tuning.chosen} == {"elu_as_sum"}
    tuned = read_onnx_file(tmp_path / "m.onnx")
    assert recheck(source, tuned, RecheckOptions()).failure is None
    others = [rule for rule in ALTERNATIVES if rule.name != "elu_as_sum"]
    spoiled = Rule("elu_as_sum", ("Elu",), too_shallow)
    monkeypatch.setattr("convert.rewriting.plan.ALTERNATIVES", (*others, spoiled))
    wrong = _save(scale_one_weight(tuned.graph, "10.weight", 1.5), tmp_path / "w.onnx")
    result = recheck(source, dataclasses.replace(wrong, manifest=manifest), RecheckOptions())
    assert str(result.culprit).startswith("first differing after rule `elu_as_sum` at ")


@pytest.mark.slow
def test_generated_samples_are_the_same_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.parity.workload.OPERATIONS", 1.0)
    manifest = convert(source, tmp_path / "m.onnx")
    result = recheck(source, read_onnx_file(tmp_path / "m.onnx"), RecheckOptions())
    assert result.parity is not None
    assert [record.samples for record in result.parity.runs] == [
        record.samples for record in manifest.parity.sets
    ]


def test_a_files_inputs_are_those_that_are_fed(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 2] x, float[2] w) => (float[N, 2] y)'
        "<float[2] w = {1.0, 2.0}> { y = Mul(x, w) }"
    )
    assert read_inputs(ir.from_proto(proto)) == (InputSpec("x", "float32", ("N", 2)),)
    (unknown := parse_graph(write_graph("y = Relu(x)"))).graph.inputs[0].shape = None
    with pytest.raises(UsageError, match="does not say what its input `x` is"):
        read_inputs(unknown)


class _Pair(nn.Module):
    """Returns two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((4,), 2.0))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scaled": x * self.scale, "shifted": x + self.scale}


def make_pair() -> nn.Module:
    return _Pair()


@pytest.mark.slow
def test_outputs_that_the_model_names_are_compared_by_name(tmp_path: Path) -> None:
    torch.save(make_pair().state_dict(), tmp_path / "s.pt")
    text = write_graph("shifted = Add(x, s) scaled = Mul(x, s)", "float[4] s = {2, 2, 2, 2}", x=ROWS)
    graph = parse_graph(text.replace(f"({IMAGE} y)", f"({ROWS} shifted, {ROWS} scaled)"))
    options = RecheckOptions(factory=f"{__name__}:make_pair")
    assert recheck(tmp_path / "s.pt", _save(graph, tmp_path / "m.onnx"), options).failure is None


def test_other_outputs_cannot_be_compared(source: Path, file: OnnxFile, tmp_path: Path) -> None:
    proto = onnx.load(file.path)
    proto.graph.output[0].name = proto.graph.node[-1].output[0] = "scores"
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"outputs are \['logits'\], and the file's are \['scores'\]"):
        recheck(source, read_onnx_file(tmp_path / "m.onnx"), RecheckOptions())
