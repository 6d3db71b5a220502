import numpy as np
import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import InvalidInputError
from serve.engine.manifest import Json
from serve.engine.preprocessing import Preprocessing, read_preprocessing
from serve.engine.signature import TensorSpec

FLOAT = np.dtype(np.float32)
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_what_the_manifest_says_is_read() -> None:
    entries: Json = {
        "size": [28, 32],
        "color": "BGR",
        "scale": 1,
        "mean": [1, 2.5, 3],
        "std": 2,
        "layout": "NHWC",
    }
    assert read_preprocessing({"preprocessing": entries}) == Preprocessing(
        (28, 32), "BGR", 1.0, (1.0, 2.5, 3.0), (2.0,), channels_first=False
    )
    assert read_preprocessing({"preprocessing": {}}) == Preprocessing()


@pytest.mark.parametrize(
    "told",
    [
        None,
        "RGB",
        {"crop": 224},
        {"size": 224},
        {"size": [224]},
        {"size": [0, 224]},
        {"size": [1e9, 1]},
        {"size": [100_000, 1]},
        {"size": [True, 1]},
        {"color": "CMYK"},
        {"color": ["RGB"]},
        {"layout": "CHW"},
        {"mean": [1, 2]},
        {"mean": "0"},
        {"mean": [True]},
        {"std": 0},
        {"std": [1, 0, 1]},
        {"scale": 1e999},
        {"color": "L", "mean": [1, 2, 3]},
    ],
)
def test_what_is_not_understood_is_not_followed_by_half(told: Json) -> None:
    assert read_preprocessing({"preprocessing": told}) is None


def test_without_a_manifest_there_is_nothing_to_follow() -> None:
    assert read_preprocessing(None) is None
    assert read_preprocessing({}) is None


def test_an_image_becomes_a_row_of_planes_of_normalised_numbers() -> None:
    made = Preprocessing(scale=0.5, mean=(1, 2, 3), std=(2, 4, 8)).prepare(IMAGE, FLOAT)
    assert (made.shape, made.dtype) == ((1, 3, 2, 3), FLOAT)
    for y, x, channel in np.ndindex(IMAGE.shape):
        expected = (int(IMAGE[y, x, channel]) * 0.5 - (1, 2, 3)[channel]) / (2, 4, 8)[channel]
        assert made[0, channel, y, x] == pytest.approx(expected)


def test_layout_and_order_of_colors_are_the_models() -> None:
    made = Preprocessing(color="BGR", scale=1, channels_first=False).prepare(IMAGE, FLOAT)
    assert made[0].tolist() == IMAGE[:, :, ::-1].tolist()
    grey = Preprocessing(color="L", scale=1).prepare(IMAGE[:, :, :1], FLOAT)
    assert grey.shape == (1, 1, 2, 3)


def test_a_model_of_bytes_takes_the_image_as_it_is() -> None:
    made = Preprocessing(mean=(5,)).prepare(IMAGE, np.dtype(np.uint8))
    assert (str(made.dtype), made[0, 0, 0].tolist()) == ("uint8", [0, 3, 6])


def test_another_number_of_channels_is_the_callers_error() -> None:
    for image in (IMAGE[:, :, :1], IMAGE[:, :, 0]):
        with pytest.raises(InvalidInputError, match="expected 3 channels"):
            Preprocessing().prepare(image, FLOAT)


@pytest.mark.parametrize(
    ("preprocessing", "shape", "size"),
    [
        (Preprocessing(size=(5, 6)), ("N", 3, 7, 8), (5, 6)),
        (Preprocessing(), ("N", 3, 7, 8), (7, 8)),
        (Preprocessing(channels_first=False), ("N", 7, 8, 3), (7, 8)),
        (Preprocessing(), ("N", 3, "H", "W"), None),
        (Preprocessing(), ("N", 784), None),
    ],
)
def test_the_size_is_the_manifests_or_the_inputs(
    preprocessing: Preprocessing, shape: tuple[int | str, ...], size: tuple[int, int] | None
) -> None:
    assert preprocessing.size_for(TensorSpec("x", BY_NAME["FP32"], shape)) == size
