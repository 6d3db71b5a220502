from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from convert.artefact.destination import require_writable
from convert.artefact.file import serialise, write_model
from convert.errors import DestinationError, ExportError
from convert.manifest.entries import MANIFEST_KEY
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.manifest.test_manifest import MANIFEST

SECRET = "/home/somebody/model.py line 7"


def _make_leaky_graph() -> ir.Model:
    model = parse_graph(write_graph("r = Relu(x) y = Mul(r, s)", write_constant("s", 4, 1, 1)))
    for holder in (model, model.graph, *model.graph, *model.graph.inputs, *model.graph.initializers.values()):
        holder.metadata_props["pkg.torch.onnx.stack_trace"] = SECRET
        holder.doc_string = SECRET
    for node in model.graph:
        node.outputs[0].metadata_props["pkg.torch.onnx.fx_node"] = SECRET
    return model


def test_no_path_or_trace_of_the_exporter_is_left() -> None:
    content = serialise(_make_leaky_graph(), MANIFEST)
    assert b"somebody" not in content
    assert b"pkg.torch" not in content


def test_the_producer_and_the_manifest_are_ours() -> None:
    proto = onnx.load_model_from_string(serialise(_make_leaky_graph(), MANIFEST))
    assert proto.producer_name == "adaptact"
    assert {entry.key: entry.value for entry in proto.metadata_props} == {MANIFEST_KEY: MANIFEST.to_json()}
    assert [(record.domain, record.version) for record in proto.opset_import] == [("", 20)]


def test_the_argument_keeps_its_metadata() -> None:
    model = _make_leaky_graph()
    serialise(model)
    assert model.graph.metadata_props["pkg.torch.onnx.stack_trace"] == SECRET


def test_the_file_appears_whole_and_alone(tmp_path: Path) -> None:
    content = serialise(_make_leaky_graph())
    write_model(tmp_path / "m.onnx", content)
    assert (tmp_path / "m.onnx").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").stat().st_mode & 0o444


def test_an_invalid_graph_is_not_written(tmp_path: Path) -> None:
    model = parse_graph(write_graph("y = Relu(x)"))
    model.graph[0].op_type = "Reluu"
    with pytest.raises(ExportError, match="the ONNX checker refuses the file"):
        write_model(tmp_path / "m.onnx", serialise(model))
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DestinationError, match="No space left on device"):
        write_model(tmp_path / "m.onnx", serialise(_make_leaky_graph()))
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_destination_that_cannot_be_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="is a folder"):
        require_writable(tmp_path)
    with pytest.raises(DestinationError, match="does not exist"):
        require_writable(tmp_path / "nowhere" / "m.onnx")
    with pytest.raises(DestinationError, match="cannot write `/proc/m"):
        require_writable(Path("/proc/m.onnx"))
    assert not list(tmp_path.iterdir())


def test_a_graph_too_large_for_one_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.artefact.file.LARGEST", 10)
    with pytest.raises(ExportError, match="the weights take 16 bytes, expected at most 10"):
        serialise(_make_leaky_graph())
