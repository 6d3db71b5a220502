"""Files that were made to harm: each reader refuses them in bounded memory and time, and says what to do."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from convert.errors import SourceError
from convert.evidence.inspection import read_onnx_file, require_data
from convert.model_io.given import read_samples
from convert.model_io.inputs import parse_input
from convert.sources import bounds
from convert.sources.load import load
from tests.convert.isolated import Outcome, run_isolated
from tests.convert.manifest.test_manifest import MANIFEST
from tests.convert.models import save_checkpoint
from tests.convert.sources import files
from tests.convert.sources.test_graph import HOSTILE

SECONDS = 60.0
MEMORY = 640 * 2**20  # bytes beyond what the process holds
FACTORY = "tests.convert.sources.files:network"
BOMB = 100_000_000  # bytes, which pack to a thousandth

Read = Callable[[Path], object]


def _load(path: Path) -> object:
    given = (FACTORY, None, [files.ROWS]) if path.suffix == ".pt" else (None, None, ())
    return load(path, *given)


def _write_checkpoint(path: Path) -> object:
    return load(path)


def _read_samples(path: Path) -> object:
    return read_samples(path, [parse_input("x:float32[N,4]")])


def _inspect(path: Path) -> object:
    file = read_onnx_file(path)
    require_data(file)
    return file.list_facts()


def _write_zip(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


def _write_packed(path: Path) -> None:
    files.write_state(path)
    _write_zip(path, "m/data/99", bytes(BOMB))


def _write_overlapping(path: Path) -> None:
    """A table of contents that lists one member of a megabyte a thousand times, under as many names."""
    _write_zip(path, "m/data.pkl", bytes(2**20))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"m/data.pkl", b"m/%08d" % place) for place in range(1000))
    tail = bytearray(content[end:])
    tail[8:12] = (1000).to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    path.write_bytes(content[:start] + entries + tail)


def _write_expanding(field: str) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        lists: list[object] = ["ha"]
        for _ in range(60):
            lists = [lists, lists]
        document = torch.load(save_checkpoint(path), weights_only=True)
        torch.save(document | {field: {"a": lists} if field == "factory_kwargs" else lists}, path)

    return made


def _write_nested(path: Path) -> None:
    lists: list[object] = []
    for _ in range(300):  # pickle itself takes some 800
        lists = [lists]
    torch.save({"a": lists, "b": torch.zeros(1)}, path)


def _write_many_tensors(path: Path) -> None:
    torch.save({"0.weight": torch.zeros(1).expand(2**40)}, path)


def _write_long_name(path: Path) -> None:
    torch.save({"k" * 20_000_000 + "\x1b[31m": torch.zeros(1)}, path)


def _write_huge_inputs(path: Path) -> None:
    document = torch.load(save_checkpoint(path), weights_only=True)
    document["inputs"] = [{"name": "image", "dtype": "float32", "shape": [10**6] * 4}]
    torch.save(document, path)


def _write_described(**change: object) -> Callable[[Path], None]:
    """A checkpoint of one number that describes something else, unless it is changed as well."""

    def made(path: Path) -> None:
        document = torch.load(save_checkpoint(path), weights_only=True)
        torch.save(document | {"state_dict": {"weight": torch.zeros(1)}} | change, path)

    return made


SITE: dict[str, object] = {
    "layer": "activation",
    "replaced": "ReLU()",
    "activation": "PAU",
    "channels": 2**14,
}
SITES = [SITE | {"layer": str(place)} for place in range(2000)]
ENCODER: dict[str, object] = {
    "factory": "torch.nn.modules.transformer:TransformerEncoderLayer",
    "factory_kwargs": {"d_model": 2, "nhead": 1, "dim_feedforward": 2},
}
LINEAR: dict[str, object] = {
    "factory": "torch.nn.modules.linear:Linear",
    "factory_kwargs": {"in_features": 20_000, "out_features": 20_000},
}


def _make_model(change: Callable[[onnx.ModelProto], object]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        proto = files.make_onnx_model()
        change(proto)
        files.write_onnx(path, proto)

    return made


def _make_weight(proto: onnx.ModelProto) -> onnx.TensorProto:
    found: onnx.TensorProto = next(one for one in proto.graph.initializer if one.name == "w")
    return found


def _make_deep_graph(path: Path) -> None:
    """Graphs in graphs, 3000 deep, as bytes: no library writes them."""
    inner = b""
    for _ in range(3000):
        for number in (6, 5, 1):  # a graph, in an attribute, in a node
            inner = encode_onnx_field(number, inner)
    path.write_bytes(b"\x08\x08" + encode_onnx_field(7, inner))


def encode_onnx_field(number: int, content: bytes) -> bytes:
    """A field of bytes as protobuf writes it, by the library's own encoder of lengths."""
    length, groups = len(content), bytearray()
    while length > 127:
        groups.append(length % 128 + 128)
        length //= 128
    return bytes([number * 8 + 2, *groups, length]) + content


def _make_long(proto: onnx.ModelProto) -> None:
    for _ in range(bounds.LARGEST_EXPANSION):
        proto.graph.node.add()


def _make_sized(proto: onnx.ModelProto) -> None:
    shape = proto.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for _ in range(100_000):
        shape.dim.add().dim_value = 2**40


def _make_external(location: str) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        tensor = _make_weight(proto)
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def _make_with_manifest(change: Callable[[str], str]) -> Callable[[Path], None]:
    """A file whose manifest's text was changed."""

    def made(path: Path) -> None:
        proto = files.make_onnx_model()
        proto.metadata_props.add(key="adaptact.manifest", value=change(MANIFEST.to_json()))
        files.write_onnx(path, proto)

    return made


def _write_array(descr: str, shape: tuple[int, ...]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        _write_zip(path, "x.npy", header.getvalue())

    return made


def _write_pickled_array(path: Path) -> None:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))


FILES: dict[str, tuple[str, Callable[[Path], object], Read, str]] = {
    "a state_dict that unpacks to far more": ("m.pt", _write_packed, _load, "more than it holds"),
    "members that overlap": ("m.pt", _write_overlapping, _load, "did not write|unpack|damaged"),
    "lists that unfold without end": ("m.pt", _write_expanding("inputs"), _load, "more than 1048576 values"),
    "arguments that unfold without end": (
        "m.pt",
        _write_expanding("factory_kwargs"),
        _load,
        "more than 1048576",
    ),
    "lists that lie too deep": ("m.pt", _write_nested, _load, "more than 100 within"),
    "a tensor of sizes without end": ("m.pt", _write_many_tensors, _load, "does not fit the model"),
    "a name without end": ("m.pt", _write_long_name, _load, "does not fit the model"),
    "inputs of sizes without end": (
        "m.pt",
        _write_huge_inputs,
        _write_checkpoint,
        "more than 268435456 elements",
    ),
    "a layer of torch's own without end": (
        "m.pt",
        _write_described(**LINEAR, swap=[]),
        _write_checkpoint,
        "bytes while it is built",
    ),
    "one activation without end": (
        "m.pt",
        _write_described(**ENCODER, swap=[SITE] * 2000),
        _write_checkpoint,
        "do not fit the architecture",
    ),
    "activations without end": (
        "m.pt",
        _write_described(**ENCODER, swap=SITES),
        _write_checkpoint,
        "2000 activations are recorded, for 1 tensors",
    ),
    "activations of channels without end": (
        "m.pt",
        _write_described(
            **ENCODER, swap=SITES, state_dict={str(place): torch.zeros(1) for place in range(2000)}
        ),
        _write_checkpoint,
        "bytes while it is built",
    ),
    "a pipe": ("m.pt", os.mkfifo, _load, "a pipe or a device"),
    "a device": ("m.onnx", lambda path: path.symlink_to("/dev/zero"), _load, "a pipe or a device"),
    "graphs that lie too deep": ("m.onnx", _make_deep_graph, _load, "Depth|depth"),
    "too many axes": (
        "m.onnx",
        _make_model(lambda proto: _make_weight(proto).dims.extend([2**40] * 100_000)),
        _load,
        "at most 64 axes",
    ),
    "a value of too many axes": ("m.onnx", _make_model(_make_sized), _load, "at most 64 axes"),
    "too many nodes": ("m.onnx", _make_model(_make_long), _load, "has 100004 nodes, expected at most 100000"),
    "a domain without end": (
        "m.onnx",
        _make_model(lambda proto: setattr(proto.graph.node[0], "domain", "d" * 20_000_000)),
        _load,
        "outside the ONNX standard",
    ),
    "a pipe to inspect": ("m.onnx", os.mkfifo, _inspect, "a pipe or a device"),
    "a device to inspect": ("m.onnx", lambda path: path.symlink_to("/dev/zero"), _inspect, "a device"),
    "graphs too deep to inspect": ("m.onnx", _make_deep_graph, _inspect, "Depth|depth"),
    "too many axes to inspect": (
        "m.onnx",
        _make_model(lambda proto: _make_weight(proto).dims.extend([2**40] * 100_000)),
        _inspect,
        "at most 64 axes",
    ),
    "weights from elsewhere": (
        "m.onnx",
        _make_model(_make_external("/etc/passwd")),
        _inspect,
        "holds no digest",
    ),
    "weights whose digest is of another folder": (
        "m.onnx",
        _make_with_manifest(
            lambda text: text.replace('"data":null', '"data":{"name":"../m","bytes":1,"sha256":""}')
        ),
        _inspect,
        "there is no file|not the ones",
    ),
    "a manifest that lies too deep": (
        "m.onnx",
        _make_with_manifest(lambda text: '{"more":' + "[" * 100_000 + "]" * 100_000 + "," + text[1:]),
        _inspect,
        "the manifest",
    ),
    "a manifest with a number without end": (
        "m.onnx",
        _make_with_manifest(lambda text: text.replace('"opset":20', '"opset":' + "9" * 1_000_000)),
        _inspect,
        "the manifest",
    ),
    "samples of sizes without end": (
        "s.npz",
        _write_array("<f4", (10**12, 4)),
        _read_samples,
        "cannot be read",
    ),
    "samples that say more than they hold": (
        "s.npz",
        _write_array("<f4", (10**8, 4)),
        _read_samples,
        "cannot be read",
    ),
    "samples that are pickled": ("s.npz", _write_pickled_array, _read_samples, "cannot be read"),
    "samples that are not packed as arrays": (
        "s.npz",
        lambda path: _write_zip(path, "x.npy", bytes(BOMB)),
        _read_samples,
        "is no array",
    ),
    "samples from a pipe": ("s.npz", os.mkfifo, _read_samples, "a pipe or a device"),
}


UNSAID = ("inputs of sizes without end", "weights whose digest is of another folder")
"""Where the message names the input, or the other file, and not the file that was given."""


def _require_refused(found: Outcome, path: Path, *, said: bool = True) -> None:
    assert found.kind in {"SourceError", "UsageError", "SignatureError"}, (found.kind, found.message)
    assert found.seconds < SECONDS
    assert found.memory_bytes < MEMORY
    assert path.name in found.message or not said
    assert len(found.message) <= 2001
    assert found.message.isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_it_is_refused_in_bounded_memory_and_time(tmp_path: Path, kind: str) -> None:
    name, made, read, reason = FILES[kind]
    path = tmp_path / name
    made(path)
    found = run_isolated(lambda: read(path), seconds=SECONDS)
    _require_refused(found, path, said=kind not in UNSAID)
    assert any(part in found.message for part in reason.split("|")), found.message


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_graph_is_refused_in_bounded_memory_and_time(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real.data").write_bytes(bytes(48))
    (tmp_path / "link.data").symlink_to("real.data")
    path = files.write_onnx(tmp_path / "m.onnx", HOSTILE[kind][0]())
    found = run_isolated(lambda: load(path), seconds=SECONDS)
    _require_refused(found, path)
    assert found.hint


def test_error_text_cannot_control_the_terminal() -> None:
    shown = "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}\nc"
    assert str(SourceError("a\x1b[2Jb\u202e\nc")) == shown
    assert str(SourceError("\x07" + "x" * 10_000)) == "\N{REPLACEMENT CHARACTER}" + "x" * 1999 + "…"
