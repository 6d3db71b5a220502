"""`adaptact swap`: the first step without a Python file."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from adaptact.errors import UsageError
from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from adaptive_act import PReLU, Swish, load, named_activations, save
from adaptive_act.commands import swap
from adaptive_act.commands.source import parse_inputs
from tests.adaptive_act import models
from tests.adaptive_act.libraries.models import BERT, make_timm, write_folder, write_weights


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact swap", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        swap.main()
    return int(ended.value.code or 0)


def test_a_library_model_becomes_a_checkpoint_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = make_timm(5).eval()
    weights = write_weights(given, tmp_path / "w.safetensors")
    options = ("--weights", weights, "--to", "PReLU", "--at", "layer*", "--quiet")
    assert _run(monkeypatch, "timm:test_resnet", tmp_path / "m.pt", *options) == FINE
    assert capsys.readouterr().out == ""
    checkpoint = load(tmp_path / "m.pt")
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(checkpoint.model(x), given(x), rtol=0, atol=0)
    names = named_activations(checkpoint.model)
    assert names
    assert all(name.startswith("layer") and isinstance(each, PReLU) for name, each in names.items())
    assert checkpoint.preprocessing is not None
    assert checkpoint.inputs[0].shape == (None, 3, 160, 160)


def test_a_text_model_keeps_one_length_for_all_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "bert", BERT)
    assert _run(monkeypatch, f"hf:{folder}", tmp_path / "m.pt", "--to", "ScaledGELU") == FINE
    out = capsys.readouterr().out
    assert "bert.encoder.layer.0.intermediate.intermediate_act_fn: GELU" in out
    assert "largest change of the outputs on the example: " in out
    checkpoint = load(tmp_path / "m.pt")
    assert {spec.shape for spec in checkpoint.inputs} == {(None, "length")}
    assert checkpoint.classes == ("bad", "good", "犬")


def test_a_checkpoint_is_swapped_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = [{"name": "image", "dtype": "float32", "shape": [None, 3, 8, 8]}]
    save(models.build_modules(), tmp_path / "a.pt", factory=models.build_modules, inputs=spec)
    options = ("--to", "Swish", "--from", "ReLU", "--no-preserve", "--json")
    assert _run(monkeypatch, tmp_path / "a.pt", tmp_path / "b.pt", *options) == FINE
    result = json.loads(capsys.readouterr().out)
    assert {entry["activation"] for entry in result["changed"]} == {"Swish"}
    assert any(isinstance(each, Swish) for each in load(tmp_path / "b.pt").model.modules())
    assert _run(monkeypatch, tmp_path / "b.pt", tmp_path / "b.pt", "--to", "PReLU") == WRONG_USE


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("timm:test_resnet", "m.pt", "--to", "prelu"), WRONG_USE, "hint: did you mean `PReLU`"),
        (("timm:test_resnet", "m.pt", "--to", "PReLU", "--from", "RELU"), WRONG_USE, "did you mean `ReLU`"),
        (("timm:test_resnet", "m.pt", "--to", "PReLU"), WRONG_USE, "nothing is downloaded"),
        (("timm:x", "state.pt", "--to", "PReLU", "--weights", "state.pt"), WRONG_USE, "is a file to read"),
        (("timm:x", "kept.json", "--to", "PReLU"), WRONG_USE, "does not end in `.pt` or `.pth`"),
        (("nothing.pt", "m.pt", "--to", "PReLU"), FAILED, "no file `nothing.pt`"),
        (("tim:resnet50", "m.pt", "--to", "PReLU"), WRONG_USE, "did you mean `timm:resnet50`?"),
        (("transformers:bert", "m.pt", "--to", "PReLU", "--random-weights"), WRONG_USE, "mean `hf:bert`?"),
        (("hf:model/", "m.pt", "--to", "PReLU"), FAILED, "hint: did you mean `models`?"),
        (("state.pt", "m.pt", "--to", "PReLU"), WRONG_USE, "does not say what model"),
        (("state.pt", "none/m.pt", "--to", "PReLU"), WRONG_USE, "in a folder that exists"),
        (
            ("state.pt", "m.pt", "--to", "PReLU", "--random-weights"),
            WRONG_USE,
            "`state.pt` is not named as one",
        ),
        (("timm:test_resnet", "m.pt", "--to", "PReLU", "--random-weights", "--at", "x*"), FAILED, "nowhere"),
    ],
)
def test_wrong_use_says_what_to_do(
    arguments: tuple[str, ...],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(1)}, "state.pt")
    Path("kept.json").touch()
    Path("models").mkdir()
    assert _run(monkeypatch, *arguments) == status
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("m.pt").exists()


def test_a_state_dict_needs_its_factory_and_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(models.build_modules().state_dict(), tmp_path / "s.pt")
    factory = ("--factory", "tests.adaptive_act.models:build_modules", "--input", "x:float32[N,3,8,8]")
    assert _run(monkeypatch, tmp_path / "s.pt", tmp_path / "m.pt", "--to", "PReLU", *factory) == FINE
    assert load(tmp_path / "m.pt").inputs[0].shape == (None, 3, 8, 8)


def test_by_default_all_that_the_activation_equals_is_replaced() -> None:
    assert swap.choose_kinds("PReLU", []) == {nn.ReLU: PReLU, nn.LeakyReLU: PReLU}
    assert swap.choose_kinds("PReLU", ["ReLU"]) == {nn.ReLU: PReLU}


@pytest.mark.parametrize(
    "text", ["x", "x:float32", "x:float33[2]", "x:float32[0]", "x:float32[N,-1]", "3:int8[]"]
)
def test_an_input_that_cannot_be_meant_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError):
        parse_inputs([text])
