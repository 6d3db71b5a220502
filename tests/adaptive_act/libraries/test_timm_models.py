"""Models of timm itself, with weights of files; torchvision, which timm imports, is a double."""

import json
import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptact.errors import UsageError
from adaptive_act.checkpoint.factory import build_model, resolve_factory
from adaptive_act.errors import AdaptiveActError, CheckpointError, LibraryError
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.timm_models import build, describe_images
from adaptive_act.libraries.weights import read_weights
from tests.adaptive_act.libraries.models import make_timm, write_weights

NAME = "timm:test_resnet.r160_in1k"


def _load(name: str = NAME, weights: Path | None = None, **options: Any) -> DescribedModel:
    random = options.pop("random_weights", False)
    return load_library_model(name, LibraryRequest("", weights, random, options))


def test_a_model_has_the_weights_of_the_file(tmp_path: Path) -> None:
    given = make_timm().eval()
    loaded = _load(weights=write_weights(given, tmp_path / "w.safetensors"))
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(loaded.model(x), given(x), rtol=0, atol=0)
    assert not loaded.model.training
    assert loaded.inputs[0].shape == (None, 3, 160, 160)
    assert loaded.outputs == ("logits",)


def test_timm_describes_images_and_classes(tmp_path: Path) -> None:
    loaded = _load(random_weights=True)
    assert loaded.preprocessing == {
        "color": "RGB",
        "resize": 168,
        "crop": [160, 160],
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "layout": "NCHW",
    }
    assert loaded.classes is not None
    assert (len(loaded.classes), loaded.classes[0]) == (1000, "tench, Tinca tinca")
    assert loaded.notes == (
        f"`test_resnet.r160_in1k` of timm {version('timm')}",
        "random weights",
        "classes are those of imagenet-1k, as timm names them; others by --classes",
    )


@pytest.mark.parametrize("length", [0x4B50, 0x280])
@pytest.mark.parametrize("name", ["w.safetensors", "weights"])
def test_a_safetensors_file_may_begin_as_other_kinds_do(length: int, name: str, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(length)
    (tmp_path / name).write_bytes(struct.pack("<Q", length) + header + bytes(4))
    content: Any = read_weights(tmp_path / name)
    assert content.keys() == {"a"}


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_fine_tuned_model_is_built_for_its_own_classes(prefix: str, tmp_path: Path) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in make_timm(5).state_dict().items()}
    torch.save({"model": state, "epoch": 3}, tmp_path / "w.pt")
    loaded = _load(weights=tmp_path / "w.pt")
    assert loaded.model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert loaded.classes is None
    assert loaded.factory_kwargs == {"name": "test_resnet.r160_in1k", "options": {"num_classes": 5}}
    assert "built for 5 classes, as many as its weights have" in loaded.notes


def test_the_factory_of_the_result_builds_the_same_again(tmp_path: Path) -> None:
    loaded = _load(weights=write_weights(make_timm(5), tmp_path / "w.safetensors"))
    again = build_model(resolve_factory(loaded.factory, trusted=False), loaded.factory_kwargs)
    again.load_state_dict(loaded.model.state_dict())


def test_random_weights_are_the_same_each_time() -> None:
    before = torch.random.get_rng_state()
    first, second = (_load(random_weights=True).model.state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("timm:test_resnte", "has no model `test_resnte`", "did you mean `test_resnet`"),
        ("timm:test_resnet.r160_in2k", "has no weights `r160_in2k` of `test_resnet`", "`r160_in1k`"),
        ("timm:hf-hub:timm/resnet18", "has no model", None),
        ("timm:local-dir:/etc", "has no model", None),
        ("timm:../x", "has no model", None),
    ],
)
def test_a_name_that_timm_does_not_have_is_refused(name: str, message: str, hint: str | None) -> None:
    with pytest.raises(LibraryError, match=message) as refused:
        _load(name, random_weights=True)
    assert hint is None or hint in str(refused.value.hint)


@pytest.mark.parametrize("option", ["pretrained", "checkpoint_path", "pretrained_cfg", "cache_dir"])
def test_nothing_makes_timm_read_or_download_weights(option: str) -> None:
    with pytest.raises(UsageError, match=f"`{option}` is not an option of timm here"):
        build("test_resnet", {option: True})


def test_weights_must_be_named() -> None:
    with pytest.raises(UsageError, match="nothing is downloaded") as refused:
        _load()
    assert "--random-weights" in str(refused.value.hint)
    with pytest.raises(UsageError, match="exclude each other"):
        _load(weights=Path("w.pt"), random_weights=True)


def _write_wrong(case: str, path: Path) -> Path:
    state = make_timm(5).state_dict()
    name = next(iter(state))
    if case == "another model's":
        torch.save({"a.weight": torch.zeros(3)}, path)
    elif case == "a layer missing":
        del state[name]
        torch.save(state, path)
    elif case == "another shape":
        torch.save(state | {name: torch.zeros(1, 2, 3, 3)}, path)
    elif case == "a checkpoint":
        torch.save({"format": "adaptact/1"}, path)
    elif case == "an old format":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes({"empty": b"", "text": b"<html>404</html>", "truncated": b"PK\x03\x04"}[case])
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("another model's", "none of its names is the model's; it has `a.weight`, expected `"),
        ("a layer missing", 'Missing key.*"conv1'),
        ("another shape", "size mismatch for conv1"),
        ("a checkpoint", "names its model itself"),
        ("an old format", "old versions of torch, a pickle; write it anew"),
        ("empty", "is empty"),
        ("text", "is truncated or damaged"),
        ("truncated", "is truncated"),
        ("none", "no file `"),
    ],
)
def test_wrong_weights_are_named(case: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt" if case == "none" else _write_wrong(case, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=message):
        _load(weights=path)


def test_options_are_timms_own(tmp_path: Path) -> None:
    loaded = _load(random_weights=True, num_classes=7, in_chans=1)
    assert loaded.inputs[0].shape == (None, 1, 160, 160)
    assert loaded.preprocessing is None
    assert "preprocessing is not described: the model takes 1 channels" in loaded.notes
    with pytest.raises(LibraryError, match="timm cannot build `test_resnet"):
        _load(random_weights=True, no_such_option=3)


def test_a_model_larger_than_its_weights_takes_no_memory(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(AdaptiveActError, match="bytes as it is built"):
        _load("timm:vit_giant_patch14_224", weights=tmp_path / "w.pt")


CONFIG = {
    "input_size": (3, 32, 48),
    "crop_pct": 0.9,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}


def test_a_squashed_image_is_described_by_both_sides() -> None:
    described, problem = describe_images({**CONFIG, "crop_mode": "squash"})
    assert problem is None
    assert described is not None
    assert (described["resize"], described["crop"]) == ([35, 53], [32, 48])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "crop mode `center` at 32 x 48"),
        ({"crop_mode": "border"}, "crop mode `border`"),
        ({"interpolation": "random", "crop_mode": "squash"}, "interpolation `random`"),
    ],
)
def test_what_cannot_be_described_is_said(change: dict[str, Any], reason: str) -> None:
    described, problem = describe_images(CONFIG | change)
    assert described is None
    assert reason in str(problem)
