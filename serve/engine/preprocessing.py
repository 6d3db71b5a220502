"""Images to rows of a model's input, as its description says: the sizes, the channels, the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt, prod

import numpy as np
from numpy.typing import NDArray

from convert.manifest.preprocessing import Color, Geometry, Layout, Preprocessing
from serve.engine.errors import InvalidInputError, UnsupportedError, quote
from serve.engine.signature import Array, TensorSpec

BYTES = 255  # the largest value of a channel


@dataclass(frozen=True, slots=True)
class ImageTransform:
    """The way from an image to a row of one input: a description, and what follows from the input's shape."""

    preprocessing: Preprocessing
    color: Color
    channels_first: bool
    size: tuple[int, int] | None
    """Height and width of every row; None where they are the image's own after resizing."""

    @property
    def channels(self) -> int:
        """The number of values of a pixel."""
        return 1 if self.color == "L" else 3

    def place(self, height: int, width: int) -> Geometry:
        """What becomes of an image of this size."""
        return self.preprocessing.place(height, width)

    def prepare(self, image: NDArray[np.uint8], dtype: np.dtype[np.generic]) -> Array:
        """One row of the input, [channels, height, width] or [height, width, channels].

        The image is [height, width, 3] in red, green, blue, or [height, width, 1] where the color is L. For
        an input of whole numbers its values stay as they are. Raises `InvalidInputError` for another number
        of channels.
        """
        if image.ndim != 3 or image.shape[2] != self.channels:
            raise InvalidInputError(
                f"an image of shape `{list(image.shape)}`, expected {self.channels} channels"
            )
        ordered = image[:, :, ::-1] if self.color == "BGR" else image
        values = ordered.astype(dtype) if dtype.kind in "iu" else self._normalise(ordered).astype(dtype)
        return np.ascontiguousarray(values.transpose(2, 0, 1) if self.channels_first else values)

    def _normalise(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(value * scale - mean) / std in float32, step by step as torchvision computes it."""
        said = self.preprocessing
        values = image.astype(np.float32)
        if said.scale == 1 / BYTES:
            values /= np.float32(BYTES)  # rounded once; the factor itself is rounded already
        else:
            values *= np.float32(said.scale)
        values -= np.array(said.mean, np.float32)
        values /= np.array(said.std, np.float32)
        return values


def fit_images(spec: TensorSpec, preprocessing: Preprocessing) -> ImageTransform:
    """The way from an image to a row of the input; what the description leaves out follows from the shape.

    Raises `UnsupportedError` for an input that takes no images, or none of the size that is described.
    """
    dims = spec.dims[1:]
    channels_first = (preprocessing.layout or guess_layout(dims)) != "NHWC"
    stated = _read_size(preprocessing)
    count = _count_channels(dims, channels_first, stated)
    color = preprocessing.color or ("L" if count == 1 else "RGB")
    channels = 1 if color == "L" else 3
    own = _find_size(dims, channels_first, channels)
    size = stated or own
    _check_takes_images(spec, size, channels)
    if stated and own and not _fits(dims, stated, own, channels):
        raise UnsupportedError(
            f"the model's preprocessing makes `{stated[0]} × {stated[1]}` (height × width) of an image, and "
            f"input {quote(spec.name)} takes `{own[0]} × {own[1]}`; send tensors, not images"
        )
    if preprocessing.resize is None and preprocessing.crop is None:
        preprocessing = replace(preprocessing, resize=size)
    varies = preprocessing.crop is None and isinstance(preprocessing.resize, int)
    return ImageTransform(preprocessing, color, channels_first, own if varies else size)


def guess_layout(dims: Sequence[int]) -> Layout | None:
    """The layout of images of one or three channels in an input of these sizes; None if ambiguous."""
    if len(dims) != 3:
        return None
    if dims[0] in (1, 3):
        return "NCHW"
    return "NHWC" if dims[2] in (1, 3) else None


def _read_size(preprocessing: Preprocessing) -> tuple[int, int] | None:
    """The height and width that the description gives every image; None where it gives none."""
    if preprocessing.crop is not None:
        return preprocessing.crop
    return preprocessing.resize if isinstance(preprocessing.resize, tuple) else None


def _count_channels(dims: Sequence[int], channels_first: bool, stated: tuple[int, int] | None) -> int:
    """The number of channels of an input with these sizes; -1 for any."""
    if len(dims) == 3:
        return dims[0] if channels_first else dims[2]
    if len(dims) == 1:
        pixels = prod(stated) if stated else isqrt(max(dims[0], 0)) ** 2
        return 1 if pixels == dims[0] else 3
    return 1


def _find_size(dims: Sequence[int], channels_first: bool, channels: int) -> tuple[int, int] | None:
    """The height and width of images in an input with these sizes; None where one of them is free."""
    sides = list(dims)
    if len(dims) == 3:
        sides = [*dims[1:]] if channels_first else [*dims[:2]]
    elif len(dims) == 1 and dims[0] >= 0:
        # Rows of as many values hold square images, where nothing else is said.
        sides = [isqrt(dims[0] // channels)] * 2
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) >= 0 else None


def _fits(dims: Sequence[int], stated: tuple[int, int], own: tuple[int, int], channels: int) -> bool:
    return prod(stated) * channels == dims[0] if len(dims) == 1 else stated == own


def _check_takes_images(spec: TensorSpec, size: tuple[int, int] | None, channels: int) -> None:
    # Rows of [channels, height, width] or the like, of [height, width], or of as many values.
    ranks = (2, 3, 4) if channels == 1 else (2, 4)
    holds_one = len(spec.shape) in ranks and (size is None or min(size) > 0)
    dtype = spec.datatype.dtype
    if not holds_one or not (dtype.kind == "f" or (dtype.kind in "iu" and np.can_cast(np.uint8, dtype))):
        raise UnsupportedError(
            f"input {quote(spec.name)} of `{spec.datatype.name}` and shape `{spec.dims}` takes no images; "
            "send tensors"
        )
