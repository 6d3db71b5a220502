"""A description of preprocessing, held against the transform that the library itself offers.

What is written into a file must be what the library does to an image; where it is not, nothing is written.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptact.text import first_line

SIZES = ((301, 406), (420, 300))
"""Height and width of the images to try: neither is a multiple of what models take."""
LARGEST_DIFFERENCE = 1e-4
"""Of standardised values: rounding in another order."""

Transform = Callable[[Any], NDArray[np.float32]]
"""From an image of Pillow to [channels, height, width]."""


def find_difference(preprocessing: Mapping[str, Any], transform: Transform) -> str | None:
    """How the library's transform differs from what is described; None where it does not."""
    for height, width in SIZES:
        image = make_image(height, width)
        try:
            expected = np.asarray(transform(image), np.float32)
            found = prepare(preprocessing, image)
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            return f"it cannot be compared: {first_line(error, 120)}"
        if expected.shape != found.shape:
            return f"it gives {list(expected.shape)}, and by the description {list(found.shape)}"
        difference = float(np.abs(expected - found).max())
        if not difference <= LARGEST_DIFFERENCE:
            return f"it gives values that differ by {difference:.2g}"
    return None


def make_image(height: int, width: int) -> Any:
    """A picture with slopes, edges and noise, the same each time."""
    from PIL import Image  # noqa: PLC0415  # which the libraries need for images as well

    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(height * width).integers(0, 64, (height, width, 3))
    slopes = np.stack([x * 160 // width, y * 160 // height, (x // 16 + y // 16) % 2 * 160], axis=-1)
    return Image.fromarray((slopes + noise).astype(np.uint8))


def prepare(preprocessing: Mapping[str, Any], image: Any) -> NDArray[np.float32]:
    """The image as the description says, [channels, height, width]; it is one of Pillow, in RGB."""
    from PIL import Image  # noqa: PLC0415

    image = image.convert("L" if preprocessing.get("color") == "L" else "RGB")
    size = _resize(preprocessing.get("resize"), image.height, image.width)
    filters = Image.Resampling[preprocessing.get("interpolation", "bilinear").upper()]
    pixels = np.asarray(image.resize(size[::-1], filters)).reshape(*size, -1)
    if "crop" in preprocessing:
        height, width = preprocessing["crop"]
        rounded = math.floor if preprocessing.get("crop_offset") == "floor" else round
        top, left = rounded((size[0] - height) / 2), rounded((size[1] - width) / 2)
        pixels = pixels[top : top + height, left : left + width]
    if preprocessing.get("color") == "BGR":
        pixels = pixels[..., ::-1]
    scaled = pixels.astype(np.float64) * preprocessing.get("scale", 1 / 255)
    values = (scaled - preprocessing.get("mean", 0.0)) / preprocessing.get("std", 1.0)
    result: NDArray[np.float32] = values.transpose(2, 0, 1).astype(np.float32)
    return result


def _resize(resize: int | list[int] | None, height: int, width: int) -> tuple[int, int]:
    if isinstance(resize, int):
        longer = int(resize * max(height, width) / min(height, width))
        return (resize, longer) if height <= width else (longer, resize)
    return (height, width) if resize is None else (resize[0], resize[1])
