"""ONNX files of classical learning compared with the Python models that they were made from."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from convert.errors import ParityError, UsageError
from convert.evidence.inspection import read_onnx_file
from convert.pipeline import convert
from convert.recheck import RecheckOptions, recheck
from convert.sources.estimator import EstimatorModule
from tests.convert.sources.classical import fit_forest, fit_table, make_stump

STUMP = f"{__name__}:Stump"


class Stump:
    """What the stump of `classical` computes, in float64."""

    def __init__(self, threshold: float = 0.3, step: float = 1.0, slope: float = 0.0) -> None:
        self.threshold, self.step, self.slope = threshold, step, slope

    def predict(self, rows: Any) -> Any:
        """[N, 2] -> [N]."""
        return np.where(rows[:, 1] <= self.threshold, 1.0, 1.0 + self.step) + self.slope * rows[:, 0]


class Halves:
    """Its classes `a` and `c` share the largest score of a row of zeros."""

    classes_ = np.asarray([4, 7, 9])

    def predict_proba(self, rows: Any) -> Any:
        """[N, 1] -> [N, 3]."""
        return np.concatenate([0.4 - rows, np.full_like(rows, 0.2), 0.4 + rows], axis=1)

    def predict(self, rows: Any) -> Any:
        """[N, 1] -> [N]."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


def make_nothing() -> int:
    return 3


def forest() -> Any:
    return fit_forest().estimator


def table() -> Any:
    return fit_table().estimator


def _write_stump(folder: Path) -> Path:
    onnx.save(make_stump(0.3), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.slow
@pytest.mark.parametrize(("fit", "factory"), [(fit_forest, "forest"), (fit_table, "table")])
def test_a_file_passes_against_the_model_it_was_made_from(tmp_path: Path, fit: Any, factory: str) -> None:
    source = fit().write(tmp_path / "m.onnx")
    manifest = convert(source, tmp_path / "out.onnx", factory=f"{__name__}:{factory}")
    assert manifest.reference == "estimator"
    label, scores = manifest.parity.outputs
    assert (label.file_error, scores.file_error < 1e-6) == (0, True)


@pytest.mark.slow
def test_a_threshold_that_float32_rounds_passes(tmp_path: Path) -> None:
    manifest = convert(_write_stump(tmp_path), tmp_path / "out.onnx", factory=STUMP)
    assert {name: used for record in manifest.parity.sets for name, used in record.used.items()} == {"y": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs", [{"threshold": 0.301}, {"threshold": 4}, {"step": 1.0001}, {"slope": 1e-5}]
)
def test_another_model_is_refused(tmp_path: Path, kwargs: dict[str, float]) -> None:
    with pytest.raises(ParityError, match="parity failed for output `y`") as refused:
        convert(_write_stump(tmp_path), tmp_path / "out.onnx", factory=STUMP, factory_kwargs=kwargs)
    assert "was the file made from that one?" in str(refused.value.hint)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.slow
def test_a_finished_file_is_compared_again(tmp_path: Path) -> None:
    source = _write_stump(tmp_path)
    convert(source, tmp_path / "out.onnx")
    file = read_onnx_file(tmp_path / "out.onnx")
    assert recheck(source, file, RecheckOptions(STUMP)).failure is None
    assert recheck(source, file, RecheckOptions(STUMP, {"step": 2.0})).failure is not None


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("make_nothing", "gave a `int`, expected a fitted estimator"),
        ("missing", "cannot be imported"),
        ("Stump", "failed: .*unexpected keyword"),
    ],
)
def test_a_factory_without_an_estimator_is_wrong_use(tmp_path: Path, factory: str, message: str) -> None:
    kwargs = {"depth": 3} if factory == "Stump" else None
    with pytest.raises(UsageError, match=message):
        convert(
            _write_stump(tmp_path),
            tmp_path / "out.onnx",
            factory=f"{__name__}:{factory}",
            factory_kwargs=kwargs,
        )


def test_of_classes_that_share_the_largest_score_float32_may_give_any() -> None:
    text = """<ir_version: 10, opset_import: ["": 20]> g (float[N,1] x) => (int64[N] label, float[N,3] scores)
        { scores = Concat <axis = 1> (x, x, x) label = ArgMax <axis = 1, keepdims = 0> (scores) }"""
    graph = ir.from_proto(onnx.parser.parse_model(text))
    rows = np.asarray([[0.0], [0.1], [-0.1]], np.float32)
    assert EstimatorModule(Halves(), graph).run_arrays([rows])["label"].tolist() == [9, 9, 4]
    assert EstimatorModule(Halves(), graph).double().run_arrays([rows])["label"].tolist() == [4, 9, 4]
