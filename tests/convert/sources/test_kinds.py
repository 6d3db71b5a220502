"""Every kind of file, from the file to the ONNX file."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from convert.manifest.manifest import Manifest
from convert.model_io.inputs import InputSpec, parse_input
from convert.pipeline import convert
from convert.sources.source import compute_digest
from convert.sources.state import PickleWarning
from tests.convert.sources import files

Array = np.ndarray[Any, np.dtype[Any]]

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def _convert(source: Path, *inputs: InputSpec) -> tuple[Path, Manifest]:
    destination = source.with_name("out.onnx")
    return destination, convert(source, destination, inputs=inputs)


def _run_file(path: Path, **arrays: Array) -> dict[str, Array]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays), strict=True))


def _matches(path: Path, name: str, model: nn.Module) -> None:
    (got,) = _run_file(path, **{name: X.numpy()}).values()
    with torch.no_grad():
        np.testing.assert_allclose(got, model.double()(X.double()).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_an_exported_program_is_converted(tmp_path: Path) -> None:
    source = files.write_program(tmp_path / "m.pt2")
    path, manifest = _convert(source)
    _matches(path, "input", files.network())
    assert (manifest.source_kind, manifest.source_digest) == ("exported program", compute_digest(source))
    assert manifest.inputs[0].shape == ("batch", 4)


@pytest.mark.slow
def test_a_traced_torchscript_that_names_types_is_converted(tmp_path: Path) -> None:
    path, manifest = _convert(files.write_torchscript(tmp_path / "m.ts"), files.ROWS)
    _matches(path, "x", files.network())
    assert manifest.source_kind == "TorchScript"
    assert {one.rule for one in manifest.fired} >= {"scale_into_previous", "scale_into_next"}


@pytest.mark.slow
def test_a_compiled_torchscript_with_a_dict_is_converted(tmp_path: Path) -> None:
    model = files.TwoOutputs()
    path, manifest = _convert(files.write_torchscript(tmp_path / "m.ts", model, traced=False), files.ROWS)
    assert [one.name for one in manifest.outputs] == ["a", "b"]
    got = _run_file(path, x=X.numpy())
    np.testing.assert_allclose(got["b"], got["a"] + 1, rtol=1e-6)
    np.testing.assert_allclose(got["a"], model(X)["a"].detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_pickled_module_is_converted_where_the_user_allows_it(tmp_path: Path) -> None:
    source = files.write_pickle(tmp_path / "m.pt")
    with pytest.warns(PickleWarning, match="runs code of its own choice"):
        manifest = convert(source, tmp_path / "m.onnx", inputs=[files.ROWS], allow_pickle=True)
    assert manifest.source_kind == "pickled module"


@pytest.mark.slow
def test_an_onnx_file_is_optimised_and_verified_against_itself(tmp_path: Path) -> None:
    source = files.write_onnx(tmp_path / "m.onnx")
    path, manifest = _convert(source)
    values: Any = ReferenceEvaluator(onnx.load(source)).run(None, {"x": X.numpy()})
    np.testing.assert_allclose(_run_file(path, x=X.numpy())["y"], values[0], rtol=1e-5, atol=1e-6)
    assert (manifest.source_kind, manifest.reference) == ("ONNX", "float64")
    assert manifest.opset == 17


@pytest.mark.slow
def test_inputs_of_any_type_and_nested_outputs_are_named(tmp_path: Path) -> None:
    path, manifest = _convert(files.write_tagger_program(tmp_path / "m.pt2"))
    assert [(one.name, one.dtype, one.shape) for one in manifest.inputs] == [
        ("ids", "int64", ("batch", "ids_1")),
        ("mask", "bool", ("batch", "ids_1")),
    ]
    ids = np.array([[1, 49, 7]])
    mask = np.array([[True, False, True]])
    got = _run_file(path, ids=ids, mask=mask)
    expected = files.Tagger()(torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(got["scores"], expected["scores"].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert got["hidden_0"].shape == (1, 3, 8)


@pytest.mark.slow
def test_a_second_conversion_keeps_the_classes(tmp_path: Path) -> None:
    proto = files.make_onnx_model()
    first, manifest = _convert(files.write_onnx(tmp_path / "m.onnx", proto))
    told = Manifest.from_json(manifest.to_json().replace('"classes":null', '"classes":["a","b","c"]'))
    again = onnx.load(first)
    again.metadata_props[0].value = told.to_json()
    _, second = _convert(files.write_onnx(tmp_path / "again.onnx", again))
    assert second.classes == ("a", "b", "c")


@pytest.mark.slow
def test_the_users_inputs_override_a_programs(tmp_path: Path) -> None:
    _, manifest = _convert(files.write_program(tmp_path / "m.pt2"), parse_input("rows:float32[5,4]"))
    assert [(one.name, one.shape) for one in manifest.inputs] == [("rows", (5, 4))]


@pytest.mark.slow
def test_a_state_dict_is_converted_with_a_factory(tmp_path: Path) -> None:
    source = files.write_state(tmp_path / "s.pt")
    factory = "tests.convert.sources.files:network"
    manifest = convert(source, tmp_path / "m.onnx", factory=factory, inputs=[files.ROWS])
    _matches(tmp_path / "m.onnx", "x", files.network())
    assert manifest.source_kind == "state_dict"


@pytest.mark.slow
def test_a_users_free_size_is_named_at_the_outputs(tmp_path: Path) -> None:
    proto = files.make_onnx_model()
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "unk__0"
    path, manifest = _convert(files.write_onnx(tmp_path / "m.onnx", proto), parse_input("x:float32[rows,4]"))
    assert manifest.outputs[0].shape == ("rows", 3)
    (output,) = onnx.load(path).graph.output
    assert output.type.tensor_type.shape.dim[0].dim_param == "rows"


@pytest.mark.slow
def test_a_fixed_size_is_fixed_at_the_outputs(tmp_path: Path) -> None:
    _, manifest = _convert(files.write_onnx(tmp_path / "m.onnx"), parse_input("x:float32[5,4]"))
    assert manifest.outputs[0].shape == (5, 3)


@pytest.mark.slow
def test_free_sizes_of_a_torchscript_are_named_at_the_outputs(tmp_path: Path) -> None:
    _, manifest = _convert(files.write_torchscript(tmp_path / "m.ts"), files.ROWS)
    assert manifest.outputs[0].shape == ("N", 3)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 23])
def test_a_torchscript_is_written_at_the_oldest_and_newest_opset(tmp_path: Path, opset: int) -> None:
    source = files.write_torchscript(tmp_path / "m.ts")
    manifest = convert(source, tmp_path / "m.onnx", inputs=[files.ROWS], opset=opset)
    assert manifest.opset == opset
    _matches(tmp_path / "m.onnx", "x", files.network())


@pytest.mark.slow
def test_a_newer_onnx_file_is_lowered_to_the_opset(tmp_path: Path) -> None:
    proto = files.make_onnx_model()
    proto.opset_import[0].version = 21
    proto.ir_version = 10
    source = files.write_onnx(tmp_path / "m.onnx", proto)
    assert convert(source, tmp_path / "a.onnx", opset=17).opset == 17
    assert convert(source, tmp_path / "b.onnx", opset=22).opset == 21
