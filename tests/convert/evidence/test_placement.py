"""What a provider leaves to the CPU provider, in a file's manifest and in words."""

from dataclasses import replace
from pathlib import Path

import pytest
from onnx.parser import parse_model
from onnx_ir import from_proto

from adaptact.console import results
from convert.commands.printing import print_export
from convert.evidence.inspection import OnnxFile, read_onnx_file
from convert.evidence.placement import find_placement
from convert.evidence.provider_tables import describe_placement
from convert.manifest.manifest import Manifest
from convert.manifest.providers import PlacementRecord
from convert.pipeline import convert
from tests.adaptact.providers.test_catalogue import GRAPH
from tests.convert.manifest.test_manifest import MANIFEST
from tests.convert.models import save_graph
from tests.openvino import require_openvino
from tests.played_gpu import play_gpus


def test_what_the_provider_does_not_compute_is_counted() -> None:
    require_openvino()
    assert find_placement(GRAPH, ["x"], "openvino") == PlacementRecord(2, {"Det": 1})


def test_operators_of_the_cpu_provider_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    play_gpus(monkeypatch)
    placement = find_placement(GRAPH, ["x"], "cuda")
    assert placement == PlacementRecord(2, {"Relu": 1, "Det": 1})
    assert find_placement(GRAPH, ["x"], "cpu") is None


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (PlacementRecord(7, {}), "0 of 7 operators"),
        (PlacementRecord(7, {"Cast": 1, "Det": 2}), "3 of 7 operators (2 Det, 1 Cast)"),
        (
            PlacementRecord(40, {f"O{place}": 1 for place in range(10, 20)}),
            "10 of 40 operators (1 O10, 1 O11, ",
        ),
    ],
)
def test_the_line_names_the_most_frequent_kinds(record: PlacementRecord, line: str) -> None:
    assert describe_placement(record).startswith(line)


@pytest.mark.parametrize(("left", "warned"), [(0, False), (1, False), (2, True)])
def test_many_operators_elsewhere_are_a_warning(
    left: int, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    placement = PlacementRecord(10, {"Det": left} if left else {})
    with results() as console:
        print_export(console, replace(MANIFEST, placement=placement), tmp_path / "m.onnx", None)
    assert ("warning: 2 of 10 operators" in capsys.readouterr().out) == warned


def test_it_stands_in_the_manifest_and_among_the_facts_of_a_file() -> None:
    manifest = replace(MANIFEST, placement=PlacementRecord(9, {"Det": 1}))
    assert Manifest.from_json(manifest.to_json()) == manifest
    model = parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    facts = OnnxFile(Path("m.onnx"), b"", from_proto(model), manifest).list_facts()
    assert facts["left to the CPU provider"] == "1 of 9 operators (1 Det)"


@pytest.mark.slow
def test_an_export_for_a_provider_records_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play_gpus(monkeypatch)
    written = convert(save_graph(tmp_path / "s.onnx"), tmp_path / "m.onnx", provider="cuda")
    assert written.placement is not None
    assert written.placement.left == written.placement.operators > 0
    assert read_onnx_file(tmp_path / "m.onnx").manifest == written
