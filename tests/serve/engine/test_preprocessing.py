from typing import Any

import numpy as np
import pytest

from convert.manifest.preprocessing import IMAGENET, Preprocessing
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import InvalidInputError, UnsupportedError
from serve.engine.preprocessing import ImageTransform, fit_images
from serve.engine.signature import TensorSpec

FLOAT = np.dtype(np.float32)
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def _fit(*shape: int | str | None, datatype: str = "FP32", **said: Any) -> ImageTransform:
    spec = TensorSpec("x", BY_NAME[datatype], ("N", *shape))
    return fit_images(spec, Preprocessing(**said))


def test_an_image_becomes_a_row_of_planes_of_normalised_numbers() -> None:
    made = _fit(3, "h", "w", scale=0.5, mean=(1, 2, 3), std=(2, 4, 8)).prepare(IMAGE, FLOAT)
    assert (made.shape, made.dtype) == ((3, 2, 3), FLOAT)
    for y, x, channel in np.ndindex(IMAGE.shape):
        expected = (int(IMAGE[y, x, channel]) * 0.5 - (1, 2, 3)[channel]) / (2, 4, 8)[channel]
        assert made[channel, y, x] == pytest.approx(expected)


def test_layout_and_order_of_colors_are_the_models() -> None:
    made = _fit("h", "w", 3, color="BGR", scale=1).prepare(IMAGE, FLOAT)
    assert made.tolist() == IMAGE[:, :, ::-1].tolist()
    assert _fit(None, None, None, layout="NHWC", scale=1).prepare(IMAGE, FLOAT).tolist() == IMAGE.tolist()
    grey = _fit(1, "h", "w", scale=1).prepare(IMAGE[:, :, :1], FLOAT)
    assert grey.shape == (1, 2, 3)


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "INT64"])
def test_a_model_of_whole_numbers_takes_the_image_as_it_is(datatype: str) -> None:
    dtype = BY_NAME[datatype].dtype
    made = _fit(3, "h", "w", datatype=datatype, mean=(5,)).prepare(IMAGE, dtype)
    assert (made.dtype, made[0, 0].tolist()) == (dtype, [0, 3, 6])


def test_another_number_of_channels_is_the_callers_error() -> None:
    for image in (IMAGE[:, :, :1], IMAGE[:, :, 0]):
        with pytest.raises(InvalidInputError, match="expected 3 channels"):
            _fit(3, "h", "w").prepare(image, FLOAT)


@pytest.mark.parametrize(
    ("shape", "said", "size"),
    [
        ((3, "h", "w"), {"resize": (5, 6)}, (5, 6)),
        ((3, "h", "w"), {"resize": 9, "crop": (5, 6)}, (5, 6)),
        ((3, 7, 8), {}, (7, 8)),
        ((7, 8, 3), {}, (7, 8)),
        ((7, 8), {}, (7, 8)),
        ((3, "h", "w"), {}, None),
        ((3, "h", "w"), {"resize": 9}, None),
        ((784,), {}, (28, 28)),
        ((48,), {}, (4, 4)),
        ((96,), {"resize": (4, 8)}, (4, 8)),
        ((32,), {"resize": (4, 8)}, (4, 8)),
    ],
)
def test_the_size_is_the_descriptions_or_the_inputs(
    shape: tuple[int | str, ...], said: dict[str, Any], size: tuple[int, int] | None
) -> None:
    assert _fit(*shape, **said).size == size


@pytest.mark.parametrize(
    ("shape", "said"), [((3, 299, 299), {}), ((224, 224, 3), {"layout": "NCHW"}), ((768,), {})]
)
def test_an_input_of_another_size_is_named(shape: tuple[int, ...], said: dict[str, Any]) -> None:
    spec = TensorSpec("x", BY_NAME["FP32"], ("N", *shape))
    with pytest.raises(UnsupportedError, match=r"makes `224 × 224` .* of an image, and input `x` takes"):
        fit_images(spec, Preprocessing(**{"resize": 256, "crop": (224, 224), **said}))
    fit_images(TensorSpec("x", BY_NAME["FP32"], ("N", 3, 224, 224)), IMAGENET)
