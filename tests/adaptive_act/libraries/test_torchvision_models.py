"""A stand-in with torchvision's interface, since torchvision is not installed."""

from pathlib import Path

import pytest

from adaptact.errors import UsageError
from adaptive_act.errors import LibraryError
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.torchvision_models import build
from tests.adaptive_act.libraries import models


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    models.stand_in_for_torchvision(monkeypatch)


def _load(name: str, weights: Path | None = None) -> DescribedModel:
    return load_library_model(name, LibraryRequest("", weights, weights is None))


def test_the_default_weights_describe_the_model() -> None:
    loaded = _load("torchvision:tiny")
    assert loaded.inputs[0].shape == (None, 3, 8, 8)
    assert loaded.classes == ("cat", "dog")
    assert loaded.preprocessing == {
        "color": "RGB",
        "resize": 10,
        "crop": [8, 8],
        "interpolation": "bilinear",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5, 0.6, 0.7],
        "layout": "NCHW",
    }
    assert "weights IMAGENET1K_V2; there are `tiny.IMAGENET1K_V1` as well" in loaded.notes[-1]


def test_a_transform_that_does_more_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models._Transform, "mean", [0.1, 0.2, 0.4])
    monkeypatch.setattr(models._Transform, "resize_size", [11])  # the double resizes to 10
    loaded = _load("torchvision:tiny.IMAGENET1K_V1")
    assert loaded.preprocessing is None
    assert "torchvision's own transform is another: it gives values that differ" in loaded.notes[2]


def test_weights_for_other_classes_change_the_last_layer(tmp_path: Path) -> None:
    weights = models.write_weights(build("tiny", {"num_classes": 3}), tmp_path / "w.safetensors")
    loaded = _load("torchvision:tiny", weights)
    assert loaded.classes is None
    assert loaded.factory_kwargs["options"] == {"num_classes": 3}


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("torchvision:tinny", "has no model `tinny`", "did you mean `tiny`?"),
        ("torchvision:tiny.V3", "has no weights `V3`", "IMAGENET1K_V1"),
    ],
)
def test_a_name_that_torchvision_does_not_have_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(LibraryError, match=message) as refused:
        _load(name)
    assert hint in str(refused.value.hint)


def test_nothing_makes_torchvision_download_weights() -> None:
    with pytest.raises(UsageError, match="`weights` is not an option"):
        build("tiny", {"weights": "DEFAULT"})
