"""The preprocessing of images that a model's manifest describes, and its application.

The manifest's `preprocessing` holds, all of them optional: `size` as [height, width], `color` as RGB, BGR or
L, `scale` for each byte (by default 1/255), then `mean` and `std`, one number a channel or one for all, and
`layout` as NCHW or NHWC.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from serve.engine.errors import InvalidInputError, quote
from serve.engine.manifest import Json
from serve.engine.signature import Array, TensorSpec

Color: TypeAlias = Literal["RGB", "BGR", "L"]
Layout: TypeAlias = Literal["NCHW", "NHWC"]
COLORS: Mapping[str, Color] = {"RGB": "RGB", "BGR": "BGR", "L": "L"}
MAX_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image's bytes become a model's input."""

    size: tuple[int, int] | None = None
    """Height and width; None to take them from the model's input."""
    color: Color = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels_first: bool = True

    def size_for(self, spec: TensorSpec) -> tuple[int, int] | None:
        """The height and width that an image must have for the input; None for any."""
        if self.size is not None or len(spec.shape) != 4:
            return self.size
        height, width = spec.shape[2:] if self.channels_first else spec.shape[1:3]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def prepare(self, image: NDArray[np.uint8], dtype: np.dtype[np.generic]) -> Array:
        """One row of a model's input: [1, channels, height, width], or [1, height, width, channels].

        The image is [height, width, 3] in red, green, blue, or [height, width, 1] where the color is L; for
        uint8 its values stay as they are. Raises `InvalidInputError` for another number of channels.
        """
        channels = 1 if self.color == "L" else 3
        if image.ndim != 3 or image.shape[2] != channels:
            raise InvalidInputError(f"an image of shape `{list(image.shape)}`, expected {channels} channels")
        ordered = image[:, :, ::-1] if self.color == "BGR" else image
        values: Array = ordered
        if dtype != np.uint8:
            mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
            scaled = (ordered.astype(np.float32) * np.float32(self.scale) - mean) / std
            values = scaled.astype(dtype)
        if self.channels_first:
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[np.newaxis])


def guess_layout(dims: Sequence[int]) -> Layout | None:
    """The layout of images of one or three channels in an input of these sizes; None if ambiguous."""
    if len(dims) != 3:
        return None
    if dims[0] in (1, 3):
        return "NCHW"
    return "NHWC" if dims[2] in (1, 3) else None


def read_preprocessing(manifest: Mapping[str, Json] | None) -> Preprocessing | None:
    """The manifest's preprocessing; None if it is missing or not supported."""
    entries = (manifest or {}).get("preprocessing")
    if not isinstance(entries, dict):
        return None
    try:
        return _read_entries(entries)
    except ValueError:
        # A part of it would make other inputs than those the model was trained on.
        return None


def _read_entries(entries: Mapping[str, Json]) -> Preprocessing:
    unknown = set(entries) - {"size", "color", "scale", "mean", "std", "layout"}
    if unknown:
        raise ValueError(f"unknown {quote(sorted(unknown)[0])}")
    default = Preprocessing()
    color, layout = entries.get("color", default.color), entries.get("layout", "NCHW")
    if not isinstance(color, str) or color not in COLORS or layout not in ("NCHW", "NHWC"):
        raise ValueError("color or layout")
    channels = 1 if color == "L" else 3
    std = _read_numbers(entries.get("std", 1.0), channels)
    if not all(std):
        raise ValueError("std of zero")
    return Preprocessing(
        size=_read_size(entries.get("size")),
        color=COLORS[color],
        scale=_read_numbers(entries.get("scale", default.scale), 1)[0],
        mean=_read_numbers(entries.get("mean", 0.0), channels),
        std=std,
        channels_first=layout == "NCHW",
    )


def _read_size(value: Json) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2:
        height, width = value
        if _is_side(height) and _is_side(width):
            return height, width
    raise ValueError("size")


def _is_side(value: Json) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= MAX_SIDE


def _read_numbers(value: Json, channels: int) -> tuple[float, ...]:
    """One finite number, or one for each channel."""
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) not in (1, channels):
        raise ValueError("number of channels")
    floats = tuple(
        float(number)
        for number in numbers
        if isinstance(number, int | float) and not isinstance(number, bool)
    )
    if len(floats) != len(numbers) or not all(map(math.isfinite, floats)):
        raise ValueError("not numbers")
    return floats
