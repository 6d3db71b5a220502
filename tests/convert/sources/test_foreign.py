"""Files with operators of classical machine learning, and of ONNX Runtime's own, converted."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from convert.errors import SourceError
from convert.evidence.inspection import read_onnx_file
from convert.manifest.manifest import Manifest
from convert.pipeline import convert
from convert.recheck import RecheckOptions, recheck
from convert.sources.load import load
from tests.convert.sources.classical import TABLE, fit_forest, fit_table, make_stump

CONVOLUTION = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,4,6,6] x) => (float[N,4,6,6] y) <float[1] s = {0.75}> {
    c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    r = Relu(c)
    y = Mul(r, s)
}
"""


STRICT = """
<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]>
g (string[N,1] city) => (float[N,?,2] y) {
    y = ai.onnx.ml.OneHotEncoder <cats_strings = ["Kyoto", "Nara"], zeros = 0> (city)
}
"""


def _run(path: Path, **feeds: Any) -> dict[str, Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def _write_stump(path: Path, threshold: float) -> Path:
    onnx.save(make_stump(threshold), path)
    return path


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("forest")
    manifest = convert(fit_forest().write(folder / "m.onnx"), folder / "out.onnx")
    return folder / "out.onnx", manifest


@pytest.mark.slow
def test_a_forest_gives_what_scikit_learn_gives(forest: tuple[Path, Manifest]) -> None:
    fitted = fit_forest()
    outputs = _run(forest[0], X=fitted.rows)
    np.testing.assert_array_equal(outputs["output_label"], fitted.estimator.predict(fitted.rows))
    expected = fitted.estimator.predict_proba(fitted.rows)
    np.testing.assert_allclose(outputs["output_probability"], expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_its_zipmap_is_a_tensor_and_its_classes_are_named(forest: tuple[Path, Manifest]) -> None:
    manifest = forest[1]
    assert manifest.classes == ("0", "1", "2")
    assert [(output.name, output.dtype, output.shape) for output in manifest.outputs] == [
        ("output_label", "int64", ("batch",)),
        ("output_probability", "float32", ("batch", 3)),
    ]
    assert manifest.source_notes == (
        "`output_probability` is a tensor: its ZipMap was removed, its columns are the classes",
        "operators outside the ONNX standard, kept as they are: 1 ai.onnx.ml::TreeEnsembleClassifier",
    )
    assert "levels of trees" in [samples.name for samples in manifest.parity.sets]


@pytest.mark.slow
def test_texts_go_in_and_out(tmp_path: Path) -> None:
    fitted = fit_table()
    manifest = convert(fitted.write(tmp_path / "m.onnx"), tmp_path / "out.onnx")
    assert [(spec.name, spec.dtype) for spec in manifest.inputs] == [
        ("a", "float32"),
        ("b", "float32"),
        ("colour", "string"),
    ]
    assert manifest.classes == ("setosa", "versicolor", "virginica")
    dtypes = (np.float32, np.float32, object)
    feeds = {
        name: fitted.rows[:, [place]].astype(dtype)
        for place, (name, dtype) in enumerate(zip(TABLE, dtypes, strict=True))
    }
    outputs = _run(tmp_path / "out.onnx", **feeds)
    assert outputs["output_label"].tolist() == fitted.estimator.predict(fitted.rows).tolist()


@pytest.mark.slow
def test_given_texts_are_samples(tmp_path: Path) -> None:
    source = fit_table().write(tmp_path / "m.onnx")
    numbers = np.ones((2, 1), np.float32)
    np.savez(tmp_path / "own.npz", a=numbers, b=numbers, colour=np.asarray([["red"], ["puce"]]))
    manifest = convert(source, tmp_path / "out.onnx", samples=tmp_path / "own.npz")
    assert "given, 0" in [samples.name for samples in manifest.parity.sets]


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [np.nextafter(np.float32(0.3), np.float32(1)), 0.4, -7.0])
def test_a_moved_threshold_fails_parity(tmp_path: Path, threshold: float) -> None:
    convert(_write_stump(tmp_path / "m.onnx", 0.3), tmp_path / "out.onnx")
    other = _write_stump(tmp_path / "other.onnx", float(threshold))
    result = recheck(other, read_onnx_file(tmp_path / "out.onnx"), RecheckOptions())
    assert "parity failed for output `y`" in str(result.failure)
    same = recheck(tmp_path / "m.onnx", read_onnx_file(tmp_path / "out.onnx"), RecheckOptions())
    assert same.failure is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "operators"),
    [
        (ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED, ["com.microsoft.FusedConv", "Mul"]),
        (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
            ["com.microsoft.nchwc.Conv", "com.microsoft.nchwc.ReorderOutput", "Mul"],
        ),
    ],
)
def test_a_file_that_onnx_runtime_optimised_keeps_its_fusions(
    tmp_path: Path, level: ort.GraphOptimizationLevel, operators: list[str]
) -> None:
    proto = onnx.parser.parse_model(CONVOLUTION)
    numbers = np.random.default_rng(0)
    for name, shape in {"w": (4, 4, 3, 3), "b": (4,)}.items():
        values = numbers.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(tmp_path / "m.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    manifest = convert(tmp_path / "m.onnx", tmp_path / "out.onnx")
    assert sorted(read_onnx_file(tmp_path / "out.onnx").operators) == sorted(operators)
    assert "kept as they are: 1 com.microsoft" in manifest.source_notes[0]
    x = numbers.standard_normal((2, 4, 6, 6)).astype(np.float32)
    onnx.save(proto, tmp_path / "plain.onnx")
    np.testing.assert_allclose(
        _run(tmp_path / "out.onnx", x=x)["y"], _run(tmp_path / "plain.onnx", x=x)["y"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
def test_a_file_without_standard_operators_gets_their_opset(tmp_path: Path) -> None:
    proto = make_stump(0.5)
    del proto.opset_import[0]
    onnx.save(proto, tmp_path / "m.onnx")
    assert convert(tmp_path / "m.onnx", tmp_path / "out.onnx").opset == 20


@pytest.mark.slow
def test_an_output_of_a_wrong_size_is_corrected(tmp_path: Path) -> None:
    proto = make_stump(0.5)
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, tmp_path / "m.onnx")
    assert convert(tmp_path / "m.onnx", tmp_path / "out.onnx").outputs[0].shape == ("N", 1)


def test_an_encoder_that_fails_at_unknown_categories_is_told_what_helps(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(STRICT), tmp_path / "m.onnx")
    with pytest.raises(SourceError, match="Unknown Category") as refused:
        load(tmp_path / "m.onnx")
    assert 'OneHotEncoder(handle_unknown="ignore")' in str(refused.value.hint)
