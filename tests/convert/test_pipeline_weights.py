"""Weights alone in fewer bits, from a file to a file that a server loads."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from convert.errors import PrecisionError, UsageError
from convert.evidence.inspection import read_onnx_file
from convert.evidence.report import render_report
from convert.evidence.rounding_tables import describe_cost
from convert.model_io.inputs import InputSpec
from convert.pipeline import convert
from convert.precision.budgets import BudgetOptions, Precision
from convert.precision.fusion import find_expanded
from tests.convert.precision.networks import make_samples
from tests.convert.precision.test_weights import keeps_small
from tests.serve.engine.loading import load_session

pytestmark = keeps_small
LOOSE = BudgetOptions(max_error=0.2)
TEXT = """<ir_version: 8, opset_import: ["" : 17]> m (float[N, 300] x) => (float[N, 256] y)
<float[300, 256] w> { t = MatMul(x, w) y = Relu(t) }"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of one large layer, of an opset that has no blocks."""
    path = tmp_path_factory.mktemp("source") / "source.onnx"
    proto = onnx.parser.parse_model(TEXT)
    weights = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32)
    del proto.graph.initializer[:], proto.graph.value_info[:]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(proto, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["weights-int8", "weights-int4"])
def test_a_server_loads_the_file_and_what_it_saves_is_recorded(
    precision: Precision, source: Path, tmp_path: Path
) -> None:
    file = tmp_path / "1" / "model.onnx"
    file.parent.mkdir()
    manifest = convert(source, file, precision=precision, external_data="always", budgets=LOOSE)
    assert (manifest.precision, manifest.opset) == (precision, 21)
    assert manifest.data is not None
    rounding = manifest.rounding
    assert rounding is not None
    assert rounding.cost is not None
    assert rounding.cost.float32_bytes == 300 * 256 * 4
    assert rounding.cost.bytes < rounding.cost.float32_bytes / 3
    assert describe_cost(rounding.cost) in render_report(read_onnx_file(file))

    x = make_samples(InputSpec("x", "float32", ("N", 300)), 4)
    reference, session = (load_session(path) for path in (source, file))
    expected, result = (
        np.asarray(loaded.run({"x": x}, ["y"])[0], np.float32) for loaded in (reference, session)
    )
    assert np.abs(result - expected).max() < 0.2 * np.abs(expected).max()
    assert session.sized_by_shapes

    again = convert(file, tmp_path / "again.onnx", external_data="never")
    assert again.opset == 21
    assert (tmp_path / "again.onnx").stat().st_size < 300 * 256 * 4 / 3
    assert find_expanded(ir.load(tmp_path / "again.onnx")) == set()
    with pytest.raises(UsageError, match="opset 20 was asked for, and weights of few bits need 21"):
        convert(file, tmp_path / "old.onnx", opset=20)


def test_an_opset_that_has_no_blocks_is_refused_before_loading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset 20 was asked for, and weights of few bits need 21"):
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", precision="weights-int8", opset=20)


def test_a_model_too_large_for_one_file_is_rounded_too(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The float graph lies in temporary files meanwhile."""
    for module in (
        "artefact.external",
        "artefact.file",
        "artefact.stored_graph",
        "precision.cost",
        "writing",
    ):
        monkeypatch.setattr(f"convert.{module}.LARGEST", 200_000)
    manifest = convert(source, tmp_path / "m.onnx", precision="weights-int8", budgets=LOOSE)
    assert manifest.data is None
    assert manifest.rounding is not None
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    with pytest.raises(PrecisionError, match="failed its gate"):
        convert(source, tmp_path / "n.onnx", precision="weights-int8", budgets=BudgetOptions(max_error=1e-9))
