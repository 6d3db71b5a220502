import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convert.errors import SourceError, UsageError
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import InputSpec, parse_input
from convert.sources.bounds import require_bounded, require_small_values
from convert.sources.float64_reference import Float64Graph
from convert.sources.load import load
from tests.convert.manifest.test_manifest import MANIFEST
from tests.convert.sources import files

X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def _make_weight(name: str) -> TensorProto:
    found: TensorProto = next(one for one in files.make_onnx_model().graph.initializer if one.name == name)
    return found


def _parse(text: str) -> ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17, "f": 1]> {text}')


def test_inputs_and_outputs_are_those_of_the_graph(tmp_path: Path) -> None:
    source = load(files.write_onnx(tmp_path / "m.onnx"))
    assert source.inputs == (InputSpec("x", "float32", ("N", 4)),)
    assert source.outputs == ("y",)


def test_the_module_runs_in_float32_and_float64(tmp_path: Path) -> None:
    model = load(files.write_onnx(tmp_path / "m.onnx")).model
    w, b = (
        torch.from_numpy(numpy_helper.to_array(one).copy()) for one in (_make_weight("w"), _make_weight("b"))
    )
    expected = 2 * torch.nn.functional.elu(X @ w.double() + b.double())
    torch.testing.assert_close(model(X.float())["y"], expected.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.double()(X)["y"], expected, rtol=1e-14, atol=1e-14)


def test_the_reference_is_float32_where_float64_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Float64Graph, "run", lambda self, arrays: {"y": np.zeros((2, 3))})
    source = load(files.write_onnx(tmp_path / "m.onnx"))
    assert source.reference == "float32"
    assert torch.equal(source.model.double()(X)["y"], source.model(X.float())["y"])


def test_an_index_is_bounded_by_its_table(tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.ones((30, 2), np.float32), "t")
    proto = _parse("g (int64[N] i) => (float[N,2] y) { y = Gather(t, i) }")
    proto.graph.initializer.append(table)
    assert load(files.write_onnx(tmp_path / "m.onnx", proto)).inputs == (InputSpec("i", "int64", ("N",), 30),)


@pytest.mark.parametrize("shape", [(), (0, 2)], ids=["a number", "no rows"])
def test_what_is_no_table_is_refused_with_a_reason(tmp_path: Path, shape: tuple[int, ...]) -> None:
    proto = _parse("g (int64[N] i) => (float[N,2] y) { y = Gather(t, i) }")
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), "t"))
    with pytest.raises(SourceError, match=r"does not run|is damaged"):
        load(files.write_onnx(tmp_path / "m.onnx", proto))


def test_the_user_names_free_sizes_of_the_graph(tmp_path: Path) -> None:
    path = files.write_onnx(tmp_path / "m.onnx")
    assert load(path, inputs=[parse_input("x:float32[7,4]")]).inputs[0].shape == (7, 4)
    for wrong in ("x:float32[N,5]", "x:float32[N]", "x:float64[N,4]", "z:float32[N,4]"):
        with pytest.raises(UsageError, match="input"):
            load(path, inputs=[parse_input(wrong)])


def _bounded_graph(path: Path, *bounds: SizeBounds) -> Path:
    """A graph of a free length, whose manifest records these bounds."""
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[N, T] x) => (float[N, T] y) { y = Relu(x) }'
    )
    manifest = dataclasses.replace(MANIFEST, sizes=bounds).to_json()
    onnx.helper.set_model_props(proto, {MANIFEST_KEY: manifest})
    return files.write_onnx(path, proto)


def test_bounds_of_sizes_are_the_files_and_the_users(tmp_path: Path) -> None:
    path = _bounded_graph(tmp_path / "m.onnx", SizeBounds("T", 2, 512))
    assert [spec.shape_text for spec in load(path).inputs] == ["[N,2<=T<=512]"]
    renamed = load(path, inputs=[parse_input("x:float32[N<=9,L%8==0]")])
    assert [spec.shape_text for spec in renamed.inputs] == ["[N<=9,2<=L<=512 and L%8==0]"]


def test_a_number_out_of_the_files_bounds_is_wrong_use(tmp_path: Path) -> None:
    path = _bounded_graph(tmp_path / "m.onnx", SizeBounds("T", 2, 512))
    assert load(path, inputs=[parse_input("x:float32[N,512]")]).inputs[0].size_bounds == ()
    with pytest.raises(UsageError, match=r"has size 1 at axis 1, and the file takes `2<=T<=512`"):
        load(path, inputs=[parse_input("x:float32[N,1]")])


def test_weights_that_are_also_inputs_are_weights(tmp_path: Path) -> None:
    proto = files.make_onnx_model()
    proto.ir_version = 3
    proto.graph.input.extend(
        helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in proto.graph.initializer
    )
    assert [spec.name for spec in load(files.write_onnx(tmp_path / "m.onnx", proto)).inputs] == ["x"]


def test_functions_are_inlined(tmp_path: Path) -> None:
    text = "g (float[N,4] x) => (float[N,4] y) { y = f.twice(x) }"
    function = '<domain: "f", opset_import: ["": 17]> twice (a) => (b) { b = Add(a, a) }'
    loaded = load(files.write_onnx(tmp_path / "m.onnx", _parse(f"{text} {function}")))
    assert loaded.graph is not None
    assert [node.op_type for node in loaded.graph.graph] == ["Add"]


def _make_tensor_model(change: Callable[[TensorProto], object]) -> ModelProto:
    proto = files.make_onnx_model()
    change(next(one for one in proto.graph.initializer if one.name == "w"))
    return proto


def _make_named_model(location: str, **entries: int) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def _make_functions(*bodies: str) -> ModelProto:
    written = " ".join(
        f'<domain: "f", opset_import: ["": 17, "f": 1]> f{place} (a) => (b) {{ {body} }}'
        for place, body in enumerate(bodies)
    )
    return _parse(f"g (float[N,4] x) => (float[N,4] y) {{ y = f.f0(x) }} {written}")


HOSTILE: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "absolute path": (lambda: _make_tensor_model(_make_named_model("/etc/passwd")), "not beside it"),
    "path upwards": (lambda: _make_tensor_model(_make_named_model("a/../../secret")), "not beside it"),
    "backslashes": (lambda: _make_tensor_model(_make_named_model("..\\secret")), "not beside it"),
    "no location": (lambda: _make_tensor_model(_make_named_model("")), "not beside it"),
    "missing data": (lambda: _make_tensor_model(_make_named_model("none.data")), "is no file"),
    "link": (lambda: _make_tensor_model(_make_named_model("link.data")), "is a link"),
    "link to a folder": (lambda: _make_tensor_model(_make_named_model("folder/real.data")), "is a link"),
    "hard link": (lambda: _make_tensor_model(_make_named_model("hard.data")), "several names"),
    "data past the end": (lambda: _make_tensor_model(_make_named_model("real.data", offset=10**9)), "takes"),
    "negative offset": (lambda: _make_tensor_model(_make_named_model("real.data", offset=-1)), "takes"),
    "wrong length": (lambda: _make_tensor_model(_make_named_model("real.data", length=3)), "takes"),
    "huge sizes": (lambda: _make_tensor_model(lambda one: one.dims.extend([2**40])), "expected at most"),
    "negative sizes": (lambda: _make_tensor_model(lambda one: one.dims.append(-1)), "expected at most"),
    "too little data": (lambda: _make_tensor_model(lambda one: one.float_data.pop()), "is damaged"),
    "an unknown type": (
        lambda: _make_tensor_model(lambda one: setattr(one, "data_type", 99)),
        "of type 99|a type",
    ),
    "a foreign operator": (
        lambda: _parse("g (float[N] x) => (float[N] y) { y = f.Custom(x) }"),
        "f::Custom",
    ),
    "a cyclic graph": (
        lambda: _parse("g (float[N] x) => (float[N] y) { y = Add(x, z) z = Relu(y) }"),
        "damaged",
    ),
    "a cyclic function": (lambda: _make_functions("b = f.f1(a)", "b = f.f0(a)"), "calls itself"),
    "functions without end": (
        lambda: _make_functions(
            *[f"c = f.f{place + 1}(a) b = f.f{place + 1}(c)" for place in range(40)], "b = Relu(a)"
        ),
        "unfolds to",
    ),
    "an input that is no tensor": (
        lambda: _parse("g (seq(float[N]) x) => (int64 y) { y = SequenceLength(x) }"),
        "which is not a tensor",
    ),
    "an output that is no tensor": (
        lambda: _parse("g (float[N] x) => (seq(float[N]) y) { y = SequenceConstruct(x, x) }"),
        "`y`, which is not a tensor",
    ),
    "an output that is an input": (
        lambda: _parse("g (float[N] x) => (float[N] x) {}"),
        "gives its input `x`",
    ),
    "no output": (lambda: _parse("g (float[N] x) => () { y = Relu(x) }"), "has no output"),
    "a value without end": (
        lambda: _parse(
            "g (float[N] x) => (float[M] y) <int64[2] s = {1000000, 1000000}> "
            "{ z = ConstantOfShape(s) y = Mul(z, x) }"
        ),
        "has the value",
    ),
    "an old opset": (lambda: onnx.parser.parse_model(files.GRAPH.replace("17", "6")), "of opset 6|damaged"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_graph_is_refused_with_a_reason(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real.data").write_bytes(b"\0" * 48)
    (tmp_path / "link.data").symlink_to("real.data")
    (tmp_path / "folder").symlink_to(".")
    os.link(tmp_path / "real.data", tmp_path / "hard.data")
    made, reason = HOSTILE[kind]
    with pytest.raises(SourceError, match=reason) as refused:
        load(files.write_onnx(tmp_path / "m.onnx", made()))
    assert "\n" not in str(refused.value)
    assert str(refused.value).count("m.onnx") == 1


def test_graphs_inside_nodes_are_checked(tmp_path: Path) -> None:
    inner = helper.make_graph([helper.make_node("Odd", ["x"], ["z"], domain="odd")], "inner", [], [])
    proto = files.make_onnx_model()
    proto.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    with pytest.raises(SourceError, match="odd::Odd"):
        require_bounded(proto, tmp_path / "m.onnx")


def test_a_sound_graph_names_its_files_of_external_data(tmp_path: Path) -> None:
    (tmp_path / "real.data").write_bytes(b"\0" * 48)
    proto = _make_tensor_model(_make_named_model("real.data", offset=0, length=48))
    assert require_bounded(proto, tmp_path / "m.onnx") == (tmp_path / "real.data",)
    require_small_values(proto, tmp_path / "m.onnx")


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x07pytorch" + b"\xff" * 50)
    with pytest.raises(SourceError, match="is damaged, or none after all"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [("an image", onnx.TensorProto.FLOAT, "input_names"), ("x", onnx.TensorProto.FLOAT16, "float32")],
)
def test_an_input_that_cannot_be_fed_is_refused(tmp_path: Path, name: str, kind: int, hint: str) -> None:
    value, result = (onnx.helper.make_tensor_value_info(one, kind, ["N", 4]) for one in (name, "y"))
    node = onnx.helper.make_node("Relu", [name], ["y"])
    proto = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [result]))
    proto.ir_version = 10
    proto.opset_import[0].version = 20
    with pytest.raises(SourceError, match="cannot be fed") as refused:
        load(files.write_onnx(tmp_path / "m.onnx", proto))
    assert hint in str(refused.value.hint)
