"""A photograph, prepared by the server as a file's description says, and by the library that described it."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from adaptive_act.libraries.foreign import import_library
from adaptive_act.libraries.library_model import LibraryRequest
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.transformers_images import describe_images
from convert.manifest.preprocessing import decode_preprocessing
from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription
from serve.engine.signature import TensorSpec
from serve.protocol.images import read_images
from tests.adaptive_act.libraries import models

PHOTOGRAPHS = [
    Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")
]
CROPPED = {"do_center_crop": True, "crop_size": {"height": 225, "width": 224}}
PROCESSORS: dict[str, dict[str, Any]] = {
    "ViTImageProcessor": {"size": {"height": 224, "width": 224}, "resample": 2},
    "CLIPImageProcessor": {"size": {"shortest_edge": 232}, "resample": 3, **CROPPED},
    "ConvNextImageProcessor": {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
    "MobileViTImageProcessor": {
        "size": {"shortest_edge": 256},
        "do_flip_channel_order": True,
        "do_normalize": False,
        **CROPPED,
    },
}


def _serve(content: bytes, described: Any) -> NDArray[Any]:
    image = {"b64": base64.b64encode(content).decode()}
    description = ModelDescription(preprocessing=decode_preprocessing(described))
    rows: NDArray[Any] = read_images(
        TensorSpec("x", BY_NAME["FP32"], ("N", 3, None, None)), [image], description
    )
    row: NDArray[Any] = rows[0]
    return row


def _turn(photograph: Path) -> bytes:
    """The photograph upright, so that its height is the longer side."""
    stream = io.BytesIO()
    Image.open(photograph).rotate(90, expand=True).crop((0, 3, 426, 640)).save(stream, "PNG")
    return stream.getvalue()


def _list_contents() -> list[bytes]:
    return [PHOTOGRAPHS[0].read_bytes(), PHOTOGRAPHS[1].read_bytes(), _turn(PHOTOGRAPHS[0])]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_the_server_prepares_a_photograph_as_transformers(name: str, tmp_path: Path) -> None:
    settings = models.PROCESSOR | {"image_processor_type": name} | PROCESSORS[name]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    described, problem = describe_images(tmp_path)
    assert problem is None
    transformers: Any = import_library("transformers", "hf")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for content in _list_contents():
        expected = processor(Image.open(io.BytesIO(content)), return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(_serve(content, described), expected, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_the_server_prepares_a_photograph_as_timm() -> None:
    loaded = load_library_model("timm:test_resnet.r160_in1k", LibraryRequest("", random_weights=True))
    data: Any = import_library("timm.data", "timm")
    transform = data.create_transform(**data.resolve_model_data_config(loaded.model), is_training=False)
    for content in _list_contents():
        expected = np.asarray(transform(Image.open(io.BytesIO(content))))
        np.testing.assert_allclose(_serve(content, loaded.preprocessing), expected, rtol=0, atol=2e-6)
