from typing import Any

import pytest

from convert.manifest.decode import ManifestError
from convert.manifest.preprocessing import IMAGENET, Geometry, Preprocessing, decode_preprocessing


def test_what_is_written_is_read_again() -> None:
    assert decode_preprocessing(IMAGENET.to_json()) == IMAGENET
    assert decode_preprocessing(Preprocessing().to_json()) == Preprocessing()
    assert Preprocessing().to_json() == {}


def test_size_is_an_older_name_of_an_exact_resize() -> None:
    assert decode_preprocessing({"size": [48, 64]}) == Preprocessing(resize=(48, 64))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (333, 500, Geometry(256, 384, (0, 0, 0, 0), (80, 16, 304, 240))),
        (500, 333, Geometry(384, 256, (0, 0, 0, 0), (16, 80, 240, 304))),
        (256, 259, Geometry(256, 259, (0, 0, 0, 0), (18, 16, 242, 240))),  # 17.5 to the even 18
        (256, 257, Geometry(256, 257, (0, 0, 0, 0), (16, 16, 240, 240))),  # 16.5 to the even 16
    ],
)
def test_the_shorter_side_is_resized_and_the_centre_kept(height: int, width: int, expected: Geometry) -> None:
    assert IMAGENET.place(height, width) == expected


def test_the_offset_may_be_rounded_down() -> None:
    floored = Preprocessing(resize=256, crop=(224, 224), crop_offset="floor")
    assert floored.place(256, 259).box == (17, 16, 241, 240)
    assert floored.place(99, 100).padding == (0, 0, 0, 0)
    small = Preprocessing(crop=(8, 8), crop_offset="floor").place(5, 8)
    assert (small.padding, small.box) == ((0, 2, 0, 1), (0, 0, 8, 8))


def test_a_smaller_image_gets_zeros_around_it() -> None:
    placed = Preprocessing(crop=(10, 9)).place(7, 20)
    assert placed == Geometry(7, 20, (0, 1, 0, 2), (6, 0, 15, 10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "is `list`, expected keys and values"),
        ({"rotate": 3}, "unknown key `rotate`"),
        ({"size": [8, 8], "crop": [8, 8]}, "only one of the two"),
        ({"resize": 0}, "from 1 to 16384"),
        ({"resize": True}, "from 1 to 16384"),
        ({"resize": 10**9}, "from 1 to 16384"),
        ({"crop": [224]}, r"expected \[height, width\]"),
        ({"crop": [224, 22.5]}, r"`preprocessing.crop\[1\]` is `22.5`"),
        ({"interpolation": "cubic"}, "expected one of: nearest, box"),
        ({"color": "rgb"}, "expected one of: RGB, BGR, L"),
        ({"mean": [0.5, 0.5]}, "has 2 numbers, expected one"),
        ({"mean": [0.5] * 3, "color": "L"}, "has 3 numbers, expected one"),
        ({"std": [1, 1, 0]}, "holds 0"),
        ({"std": -1}, "holds -1, expected at least 1e-06"),
        ({"std": 1e-300}, "holds 1e-300"),
        ({"scale": 0}, "is 0, which makes all images the same"),
        ({"std": float("nan")}, "expected a finite number"),
        ({"scale": "1/255"}, "expected a finite number"),
        ({"layout": "CHW"}, "expected one of: NCHW, NHWC"),
    ],
)
def test_other_values_are_refused(content: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        decode_preprocessing(content)
