"""An image at a server becomes what the library makes of it that the model was trained with."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convert.manifest.preprocessing import Interpolation, Preprocessing
from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription
from serve.engine.signature import TensorSpec
from serve.protocol.images import read_images

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CLIP: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


def _make_image(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    channels = [(x * 7 + y * 13) % 256, (x * x + 3 * y) % 256, (x * y * 5 + 11 * x) % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def _serve(image: Image.Image, said: Preprocessing) -> NDArray[Any]:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    sent = {"b64": base64.b64encode(stream.getvalue()).decode()}
    spec = TensorSpec("x", BY_NAME["FP32"], ("N", 3, "h", "w"))
    row: NDArray[Any] = read_images(spec, [sent], ModelDescription(preprocessing=said))[0]
    return row


@pytest.mark.parametrize(
    ("resize", "interpolation", "size", "values", "total"),
    [
        (36, "bilinear", (50, 71), [0.2453121542930603, 0.502801239490509, 1.0888018608093262], 666.69660440),
        (36, "bilinear", (90, 33), [0.45080918073654175, 1.378151297569275, 0.827364027500152], 705.68234928),
        (35, "bicubic", (50, 71), [-0.011559266597032547, 1.2380952835083, 2.047407627105713], 696.75716866),
        (35, "bicubic", (90, 33), [0.46793392300605774, 1.8158262968063, 0.4090632498264313], 691.61216827),
    ],
)
def test_the_values_are_those_of_timm(
    resize: int, interpolation: Interpolation, size: tuple[int, int], values: list[float], total: float
) -> None:
    """What `transforms_imagenet_eval(32, crop_pct=32 / resize)` of timm 1.0.31 and torchvision 0.29 gave."""
    said = Preprocessing("RGB", resize, (32, 32), interpolation=interpolation, **IMAGENET)
    got = _serve(_make_image(*size), said)
    assert got[[0, 1, 2], [0, 5, 31], [0, 30, 31]].tolist() == pytest.approx(values, rel=1e-6)
    assert float(got.astype(np.float64).sum()) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("crop", "size", "values", "total"),
    [
        ((32, 32), (33, 67), [-0.9747506976127625, 1.3244953155517578, 1.0509520769119263], 546.934892545),
        ((32, 32), (31, 30), [0.7624621391296387, 0.28895944356918335, 0.31150853633880615], 298.358735974),
        ((47, 51), (33, 67), [0.12013141810894012, 1.2044332027435303, 0.041327301412820816], -2858.07068627),
        (
            (47, 51),
            (31, 30),
            [-1.4419002532958984, -0.11625037342309952, 0.06976743042469025],
            -6420.41132327,
        ),
    ],
)
def test_the_values_are_those_of_transformers(
    crop: tuple[int, int], size: tuple[int, int], values: list[float], total: float
) -> None:
    """What `CLIPImageProcessorPil` of transformers 5.24 gave, with a crop in the image or around it."""
    got = _serve(_make_image(*size), Preprocessing("RGB", 32, crop, "floor", "bicubic", **CLIP))
    assert got[[0, 1, 2], [9, 15, 20], [10, 20, 30]].tolist() == pytest.approx(values, rel=1e-6)
    assert float(got.astype(np.float64).sum()) == pytest.approx(total, rel=1e-6)
