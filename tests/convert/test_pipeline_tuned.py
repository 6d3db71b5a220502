"""The pipeline where the forms are measured."""

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from convert.evidence.inspection import read_onnx_file
from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Outcome, Rule
from convert.pipeline import STAGES, convert
from convert.precision.budgets import BudgetOptions, Precision
from convert.rewriting.forms import ALTERNATIVES
from convert.tuning import cache
from convert.tuning.tune import FASTER, NOT_EXACT, TuningOptions
from tests.convert.models import save_checkpoint, save_graph
from tests.convert.tuning.machine import PlantedMachine


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_graph(tmp_path_factory.mktemp("source") / "model.onnx")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Elu is fastest as a sum."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    costs = {"Max": 0.01, "Elu": 0.01}
    monkeypatch.setattr("convert.writing.Target", lambda *given: PlantedMachine([costs]))


def _list_elu_forms(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node if node.op_type in ("Elu", "Max", "Exp")]


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_the_file_takes_the_faster_forms(tmp_path: Path) -> None:
    stages: list[str] = []
    source = save_checkpoint(tmp_path / "m.pt")
    manifest = convert(source, tmp_path / "m.onnx", tuning=TuningOptions(), on_stage=stages.append)
    assert tuple(stages) == STAGES
    assert _list_elu_forms(tmp_path / "m.onnx") == ["Exp"] * 3
    assert manifest.tuning is not None
    assert {record.form for record in manifest.tuning.chosen} == {"elu_as_sum"}
    assert {record.layer for record in manifest.tuning.chosen} == {"2", "5", "9"}
    assert {record.rule for record in manifest.fired} >= {"elu_as_sum", "scale_into_previous"}
    assert read_onnx_file(tmp_path / "m.onnx").manifest == manifest


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_a_measured_form_that_breaks_parity_is_dropped_and_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_deep(node: ir.Node) -> Outcome:
        edit = Edit(node)
        edit.replace(edit.op("Neg", edit.op("Neg", edit.op("Relu", *node.inputs))))  # type: ignore[arg-type]
        return FIRED

    spoiled = Rule("elu_as_sum", ("Elu",), too_deep)
    others = [rule for rule in ALTERNATIVES if rule.name != "elu_as_sum"]
    monkeypatch.setattr("convert.rewriting.plan.ALTERNATIVES", (*others, spoiled))
    manifest = convert(source, tmp_path / "m.onnx", tuning=TuningOptions())
    assert [record.rule for record in manifest.dropped] == ["elu_as_sum"]
    assert manifest.tuning is not None
    assert manifest.tuning.verdict == NOT_EXACT
    assert not manifest.tuning.chosen
    convert(source, tmp_path / "untuned.onnx")
    assert _list_elu_forms(tmp_path / "m.onnx") == _list_elu_forms(tmp_path / "untuned.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "shows"), [("fp32", ""), ("fp16", "Cast"), ("int8", "DynamicQuantizeLinear")]
)
def test_forms_are_timed_in_the_precision_of_the_file(
    precision: Precision, shows: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    machine = PlantedMachine([{"Max": 0.01, "Elu": 0.01}])
    monkeypatch.setattr("convert.writing.Target", lambda *given: machine)
    allowed = None if precision == "fp32" else BudgetOptions(max_error=0.5, min_agreement=0.0)
    result = convert(
        source, tmp_path / "m.onnx", tuning=TuningOptions(), precision=precision, budgets=allowed
    )
    assert result.tuning is not None
    assert result.tuning.verdict == FASTER
    timed = machine.loaded
    if result.rounding is not None and result.rounding.cost is not None:
        *timed, exact, rounded = machine.loaded  # at last, the graphs before and after
        assert not exact[shows]
        assert rounded[shows]
        assert len(result.rounding.cost.speeds) == 1
    assert {bool(loaded["Cast"] + loaded["DynamicQuantizeLinear"]) for loaded in timed} == {bool(shows)}
    assert not shows or all(loaded[shows] for loaded in timed)


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_an_answer_for_another_precision_is_none_for_this_one(source: Path, tmp_path: Path) -> None:
    allowed = BudgetOptions(max_error=0.5, min_agreement=0.0)
    options: tuple[Precision, ...] = ("fp32", "int8", "fp16", "int8")
    for count, precision in enumerate(options, 1):
        budgets = None if precision == "fp32" else allowed
        convert(source, tmp_path / "m.onnx", tuning=TuningOptions(), precision=precision, budgets=budgets)
        assert len(list(cache.cache_folder().iterdir())) == min(count, 3)
