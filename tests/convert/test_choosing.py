"""The pipeline where the provider is measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from convert.errors import ExportError, ParityError, UsageError
from convert.evidence.inspection import read_onnx_file
from convert.manifest.manifest import Manifest
from convert.manifest.providers import CANNOT_RUN
from convert.pipeline import convert
from convert.tuning.providers import ProviderTarget
from convert.tuning.tune import TuningOptions
from convert.writing import Conversion
from tests.convert.models import save_graph

OPTIONS = TuningOptions("auto", seconds=40.0)
_write = Conversion.write_exact_file


class Planted:
    """OpenVINO takes half of the CPU provider's time; files are the CPU provider's, without tuned forms."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.error: Exception | None = None
        """Of the file for OpenVINO."""

    def write(self, work: Conversion) -> Manifest:
        assert work.options.tuning is not None
        self.tried.append(work.options.tuning.provider)
        if work.options.provider == "openvino" and self.error is not None:
            raise self.error
        return _write(replace(work, options=replace(work.options, provider="cpu", tuning=None)))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    planted, seconds = Planted(), {"cpu": 1.0, "openvino": 0.5}

    def write(work: Conversion) -> Manifest:
        return planted.write(work)

    monkeypatch.setattr(
        ProviderTarget, "load", lambda target, graph, provider, threads: lambda: (seconds[provider],)
    )
    monkeypatch.setattr("convert.choosing._judge", lambda work, provider: None)
    monkeypatch.setattr(Conversion, "write_exact_file", write)
    return planted


@pytest.mark.slow
def test_the_file_is_made_for_the_fastest_provider_and_says_why(tmp_path: Path, planted: Planted) -> None:
    manifest = convert(save_graph(tmp_path / "s.onnx"), tmp_path / "m.onnx", tuning=OPTIONS)
    assert planted.tried == ["openvino"]
    assert manifest.choice is not None
    assert (manifest.choice.provider, manifest.choice.verdict) == (
        "openvino",
        "it takes 0.50 of the CPU provider's time",
    )
    assert read_onnx_file(tmp_path / "m.onnx").manifest == manifest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ParityError("parity failed for output `y`"), "parity failed for output `y`"),
        (ExportError("ONNX Runtime refuses `/tmp/graph.onnx`"), CANNOT_RUN),
    ],
)
def test_where_no_file_is_exact_on_it_the_cpu_provider_is_taken(
    tmp_path: Path, planted: Planted, error: Exception, reason: str
) -> None:
    planted.error = error
    manifest = convert(save_graph(tmp_path / "s.onnx"), tmp_path / "m.onnx", tuning=OPTIONS)
    assert planted.tried == ["openvino", "cpu"]
    assert manifest.choice is not None
    assert manifest.choice.provider == "cpu"
    assert manifest.choice.candidates[1].reason == f"the file made for it failed: {reason}"
    assert reason in manifest.choice.verdict


def test_auto_without_measuring_is_refused_before_loading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chosen by measuring, and nothing is measured"):
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", provider="auto")
