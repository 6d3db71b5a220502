"""`adaptact-verify`."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from adaptact.exit_codes import FAILED, FINE, PARITY_FAILED, WRONG_USE
from convert.artefact.signing import sign
from convert.commands.verify import main
from convert.model_io.inputs import parse_input
from convert.pipeline import convert
from tests.convert.keys import write_keys
from tests.convert.models import classifier, save_checkpoint


@dataclass(frozen=True)
class Files:
    model: Path
    file: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    model = save_checkpoint(tmp_path_factory.mktemp("files") / "model.pt")
    convert(model, model.with_suffix(".onnx"))
    return Files(model, model.with_suffix(".onnx"))


@pytest.fixture
def faulty(files: Files, tmp_path: Path) -> Path:
    """The file with one weight of its head a hundredth off."""
    proto = onnx.load(files.file)
    (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == "10.weight")
    numbers = onnx.numpy_helper.to_array(tensor).copy()
    numbers.reshape(-1)[np.abs(numbers).argmax()] *= 1.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(numbers, tensor.name))
    onnx.save(proto, tmp_path / "faulty.onnx")
    return tmp_path / "faulty.onnx"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)


@pytest.mark.slow
def test_a_good_file_passes(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, files.model, files.file) == FINE
    out, err = capsys.readouterr()
    assert "model.onnx: parity passed" in out
    assert "parity is strong; 16 of 16 weights" in out
    assert all(word in out for word in ("logits", "top-1 agreement", "boundary", "NaN and Inf kept"))
    assert [line.split()[0] for line in err.splitlines()] == ["load", "run"]


@pytest.mark.slow
def test_samples_with_numbers_that_are_not_finite_are_counted(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.ones((6, 3, 8, 8), np.float32)
    image[0, 0, 0, :2], image[4, 1] = np.nan, np.inf
    np.savez(tmp_path / "samples.npz", image=image)
    given = (files.model, files.file, "--samples", tmp_path / "samples.npz")
    assert run(monkeypatch, *given) == FINE
    told = "the samples hold 66 NaN or infinite numbers of `image`, in 2 of 6 samples"
    assert told in capsys.readouterr().out.replace("\n", " ")
    assert run(monkeypatch, *given, "--json") == FINE
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith(told)


@pytest.mark.slow
def test_parity_behind_a_head_of_zeros_is_weak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed first layer passes, and the verdict says that it would."""
    model = classifier()
    torch.nn.init.zeros_(model[10].weight)  # type: ignore[arg-type]  # a layer has it
    torch.save(model.state_dict(), tmp_path / "m.pt")
    factory, inputs = "tests.convert.models:classifier", [parse_input("image:float32[N,3,8,8]")]
    manifest = convert(tmp_path / "m.pt", tmp_path / "m.onnx", factory=factory, inputs=inputs)
    assert manifest.parity.strength == "weak"
    proto = onnx.load(tmp_path / "m.onnx")
    (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == "0.weight")
    tensor.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(proto, tmp_path / "changed.onnx")
    files = (tmp_path / "m.pt", tmp_path / "changed.onnx", "--factory", factory)
    assert run(monkeypatch, *files) == FINE
    out = capsys.readouterr().out
    assert "changed.onnx: parity passed" in out
    assert "parity is weak; 16 of 16 weights were changed a little, and 2 of the changes" in out
    assert "no input moves output `output`" in out
    assert run(monkeypatch, *files, "--json") == FINE
    content = json.loads(capsys.readouterr().out)
    assert (content["passed"], content["strength"]) == (True, "weak")
    assert "0.weight" in content["parity"]["coverage"]["unseen"]


@pytest.mark.slow
def test_a_faulty_file_fails_with_3_and_its_layer(
    files: Files, faulty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, files.model, faulty) == PARITY_FAILED
    out, err = capsys.readouterr()
    assert "faulty.onnx: parity FAILED" in out
    assert "error: parity failed for output `logits`" in err
    assert "hint: first differing layer: `10` (Linear); not the model's in the file: `10.weight`" in err


@pytest.mark.slow
def test_json_has_verdict_culprit_and_errors(
    files: Files, faulty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, files.model, faulty, "--json") == PARITY_FAILED
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert (result["passed"], result["same_source"], result["signed_by"]) == (False, True, None)
    assert result["culprit"].startswith("first differing layer: `10`")
    assert result["parity"]["outputs"][0]["file_error"] > result["parity"]["outputs"][0]["allowed"]


@pytest.mark.slow
def test_the_json_of_a_nan_is_null(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(files.file)
    (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == "10.bias")
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(4, np.nan, np.float32), tensor.name))
    onnx.save(proto, tmp_path / "nan.onnx")
    assert run(monkeypatch, files.model, tmp_path / "nan.onnx", "--json") == PARITY_FAILED
    output = json.loads(capsys.readouterr().out)["parity"]["outputs"][0]
    assert output["file_error"] is None


def test_a_tolerance_lets_a_faulty_file_pass(
    files: Files, faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, files.model, faulty, "--tolerance", "logits=0.1") == FINE


def test_own_samples_are_compared_too(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "s.npz", image=np.ones((70, 3, 8, 8), np.float32))
    assert run(monkeypatch, files.model, files.file, "--samples", tmp_path / "s.npz", "--json") == FINE
    names = [record["name"] for record in json.loads(capsys.readouterr().out)["parity"]["sets"]]
    # Others may follow: what an export leaves doubtful differs between versions of torch.
    assert [name for name in names if name.startswith("given")] == ["given, 0", "given, 64"]


@pytest.mark.slow
def test_a_file_of_another_model_fails_and_says_so(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save_checkpoint(tmp_path / "other.pt", "Swish")
    assert run(monkeypatch, other, files.file, "--json") == PARITY_FAILED
    assert json.loads(capsys.readouterr().out)["same_source"] is False


def test_a_state_dict_takes_its_inputs_from_the_file(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(classifier().state_dict(), tmp_path / "s.pt")
    assert run(monkeypatch, tmp_path / "s.pt", files.file) == WRONG_USE
    factory = ("--factory", "tests.convert.models:classifier")
    assert run(monkeypatch, tmp_path / "s.pt", files.file, *factory) == FINE


def test_a_signature_is_checked_with_and_without_model(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pair, signed = write_keys(tmp_path), tmp_path / "signed.onnx"
    signed.write_bytes(sign(files.file.read_bytes(), pair.private))
    assert run(monkeypatch, signed, "--public-key", pair.public) == FINE
    assert "signed.onnx: signed by key " in capsys.readouterr().out
    assert run(monkeypatch, files.model, signed, "--public-key", pair.public) == FINE
    assert run(monkeypatch, files.model, signed, "--public-key", write_keys(tmp_path, 2).public) == FAILED
    assert run(monkeypatch, files.file, "--public-key", pair.public) == FAILED


@pytest.mark.slow
def test_weights_beside_the_file_are_checked(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = convert(files.model, tmp_path / "m.onnx", external_data="always")
    assert manifest.data is not None
    assert run(monkeypatch, files.model, tmp_path / "m.onnx") == FINE
    data = tmp_path / manifest.data.name
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    assert run(monkeypatch, files.model, tmp_path / "m.onnx") == FAILED
    assert "are not the ones that" in capsys.readouterr().err
    data.unlink()
    assert run(monkeypatch, files.model, tmp_path / "m.onnx") == FAILED


def test_wrong_use_ends_with_2(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch) == WRONG_USE
    assert run(monkeypatch, files.file) == WRONG_USE
    assert run(monkeypatch, files.model, files.file, files.file) == WRONG_USE
    assert run(monkeypatch, files.model, files.file, "--provider", "tpu") == WRONG_USE
    assert run(monkeypatch, files.model, files.file, "--tolerance", "other=0.1") == WRONG_USE
    assert run(monkeypatch, files.model, files.file, "--input", "picture:float32[N,3,8,8]") == WRONG_USE


def test_options_of_comparison_need_a_model(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ("--public-key", write_keys(tmp_path).public)
    for option in (
        ("--tolerance", "logits=0.1"),
        ("--samples", "x.npz"),
        ("--max-error", 1),
        ("--allow-pickle",),
    ):
        assert run(monkeypatch, files.file, *key, *option) == WRONG_USE
        assert "no model to compare it with" in capsys.readouterr().err


def test_swapped_arguments_get_a_hint(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, files.file, files.model) == FAILED
    assert f"hint: name the model first: {files.model} {files.file}" in capsys.readouterr().err


def test_a_file_that_is_not_onnx_ends_with_1(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(files.model, tmp_path / "m.onnx")
    assert run(monkeypatch, files.model, tmp_path / "m.onnx") == FAILED
    assert run(monkeypatch, files.model, tmp_path / "none.onnx") == FAILED


def test_a_missing_provider_is_never_replaced(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert run(monkeypatch, files.model, files.file, "--provider", "cuda") == WRONG_USE
    assert "built without it" in capsys.readouterr().err
