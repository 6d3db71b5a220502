"""What `adaptact-inspect` shows of a file, promise by promise, and that it is of the opset asked for."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from convert.artefact.file import serialise
from convert.commands.inspect import main
from convert.evidence.inspection import read_onnx_file
from convert.evidence.report import render_report
from convert.manifest.manifest import Manifest
from convert.pipeline import convert
from convert.sources.opset import OPSETS
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.keys import write_keys
from tests.convert.manifest.test_manifest import MANIFEST
from tests.convert.models import classifier, save_checkpoint

# The version of the format that each release of ONNX with a new opset brought.
# Source: ONNX, Versioning, https://github.com/onnx/onnx/blob/main/docs/Versioning.md#released-versions
FORMATS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("source") / "model.pt")


@pytest.fixture(scope="module")
def file(source: Path) -> Path:
    destination = source.with_suffix(".onnx")
    convert(source, destination, external_data="always", sign=write_keys(source.parent).private)
    return destination


def _inspect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["adaptact-inspect", *map(str, arguments)])
    with pytest.raises(SystemExit) as exc_info:
        main()
    assert not exc_info.value.code
    return capsys.readouterr().out


def _format_number(numbers: tuple[float, ...]) -> str:
    return f"{numbers[0]:.3g}"


@pytest.mark.slow
def test_the_tables_show_everything_that_is_promised(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _inspect(monkeypatch, capsys, file)
    proto = onnx.load(file, load_external_data=False)
    manifest = read_onnx_file(file).manifest
    assert manifest is not None
    rows = [line.split() for line in text.splitlines()]
    for record in manifest.activations:
        (row,) = (row for row in rows if row[:2] == [record.layer, record.kind])
        assert all(name in row for name in record.values)
        assert any(word.startswith(_format_number(record.values["a"])) for word in row)
    operators = [node.op_type for node in proto.graph.node]
    for kind in operators:
        assert f"{operators.count(kind)} {kind}" in text
    for fired in manifest.fired:
        assert [fired.rule, str(fired.times)] in rows
    for declined in manifest.declined:
        assert declined.reason in text
    for output in manifest.parity.outputs:
        assert f"{output.allowed:g}" in text
    for samples in manifest.parity.sets:
        assert samples.name in text
    assert manifest.data is not None
    assert manifest.data.sha256 in text
    assert "signed by key, unchecked" in text


def test_the_json_is_all_of_the_manifest(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.loads(_inspect(monkeypatch, capsys, file, "--json"))
    entries = {
        record.key: record.value for record in onnx.load(file, load_external_data=False).metadata_props
    }
    assert text["manifest"] == json.loads(entries["adaptact.manifest"])
    assert text["signed_by_unchecked"] == entries["adaptact.signature"].split(":")[1]


def test_the_page_draws_curves_without_a_network(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _inspect(monkeypatch, capsys, file, "--html", tmp_path / "m.html")
    page = (tmp_path / "m.html").read_text()
    assert re.findall(r"https?:|//[a-z]|<script|<link|@import|<iframe", page) == []
    sources = re.findall(r"""(?:src|href)=["']?([^"'>]{0,30})""", page)
    assert [record for record in sources if not record.startswith(("data:image/", "#"))] == []
    assert "data:image/svg+xml;base64," in page


@pytest.mark.parametrize(("suffix", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_graph_is_a_picture(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    begin: bytes,
) -> None:
    _inspect(monkeypatch, capsys, file, "--graph", tmp_path / f"m.{suffix}")
    assert (tmp_path / f"m.{suffix}").read_bytes().startswith(begin)


def _rename_layer(path: Path, layer: str) -> Path:
    """A file whose manifest gives a layer this name."""
    first = dataclasses.replace(MANIFEST.activations[0], layer=layer)
    manifest: Manifest = dataclasses.replace(MANIFEST, activations=(first,))
    path.write_bytes(
        serialise(parse_graph(write_graph("y = Mul(x, s)", write_constant("s", 4, 1, 1))), manifest)
    )
    return path


def test_names_that_are_code_stay_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "\x1b" not in _inspect(monkeypatch, capsys, _rename_layer(tmp_path / "m.onnx", "\x1b[2J"))
    page = render_report(read_onnx_file(_rename_layer(tmp_path / "m.onnx", "<script>alert(1)</script>")))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.fixture(scope="module")
def newest(source: Path) -> Path:
    destination = source.with_name("newest.onnx")
    convert(source, destination, opset=OPSETS[-1])
    return destination


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_the_file_has_the_opset_and_a_fitting_format(newest: Path, tmp_path: Path, opset: int) -> None:
    convert(newest, tmp_path / "m.onnx", opset=opset)
    proto = onnx.load(tmp_path / "m.onnx")
    assert [(record.domain, record.version) for record in proto.opset_import] == [("", opset)]
    assert proto.ir_version == FORMATS[opset]
    onnx.checker.check_model(proto, full_check=True)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(opset))
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    got: Any = session.run(["logits"], {"image": x.numpy()})[0]
    expected = classifier().double()(x.double()).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
