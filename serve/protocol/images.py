"""Images in requests, PNG or JPEG in base64, to the model's input tensors."""

import base64
import io
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from serve.engine.errors import MalformedRequestError, UnsupportedError, quote
from serve.engine.manifest import Json
from serve.engine.preprocessing import Preprocessing, guess_layout, read_preprocessing
from serve.engine.signature import Array, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

KEY = "b64"
FORMATS = ("PNG", "JPEG")
# A file of some kilobytes may hold any number of pixels, and a request any number of files.
IMAGE_PIXELS = 2**25
REQUEST_IMAGES = 4096
REQUEST_PIXELS = 2**26
REQUEST_VALUES = 2**25
BILINEAR = 2  # Pillow's number
# The errors of Pillow for a file that is broken or no image; they have no common class.
BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, struct.error)
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def is_image(value: object) -> bool:
    """Whether the instance is an image: an object with only `b64`."""
    return isinstance(value, dict) and set(value) == {KEY}


def read_images(spec: TensorSpec, images: Sequence[object], manifest: Mapping[str, Json] | None) -> Array:
    """The input's tensor, a row for each image, preprocessed as the manifest says.

    No image is decoded until the sizes in all files' headers are within bounds. Raises
    `MalformedRequestError` for a file that is no image or too large, `UnsupportedError` for an input that
    takes no images.
    """
    preprocessing = choose_preprocessing(spec, manifest)
    channels = 1 if preprocessing.color == "L" else 3
    size = preprocessing.size_for(spec)
    _check_takes_images(spec, size, channels)
    opened = _open_images(spec, images, size, channels)
    first = _make_row(spec, 0, opened[0], preprocessing)
    rows = np.empty((len(opened), *first.shape), first.dtype)
    rows[0] = first
    for position in range(1, len(opened)):
        rows[position] = _make_row(spec, position, opened[position], preprocessing)
    return rows


def choose_preprocessing(spec: TensorSpec, manifest: Mapping[str, Json] | None) -> Preprocessing:
    """The manifest's preprocessing; color, layout and size that it leaves out follow from the shape.

    Raises `UnsupportedError` for preprocessing that is not understood.
    """
    entries = (manifest or {}).get("preprocessing")
    preprocessing = read_preprocessing(manifest)
    if entries is not None and preprocessing is None:
        raise UnsupportedError(
            f"the manifest's preprocessing {quote(entries)} cannot be followed here; send tensors, not images"
        )
    given = entries if isinstance(entries, dict) else {}
    chosen = preprocessing or Preprocessing()
    dims = spec.dims[1:]
    if "layout" not in given and len(dims) == 3:
        chosen = replace(chosen, channels_first=guess_layout(dims) != "NHWC")
    if "color" not in given and _count_channels(dims, chosen) == 1:
        chosen = replace(chosen, color="L")
    if chosen.size is None and len(dims) == 2 and min(dims) > 0:
        chosen = replace(chosen, size=(dims[0], dims[1]))
    if chosen.size is None and len(dims) == 1 and dims[0] > 0:
        side = isqrt(dims[0] // (1 if chosen.color == "L" else 3))
        chosen = replace(chosen, size=(side, side))
    return chosen


def _count_channels(dims: Sequence[int], preprocessing: Preprocessing) -> int:
    """The number of channels of an input with these sizes; -1 for any."""
    if len(dims) == 3:
        return dims[0] if preprocessing.channels_first else dims[2]
    if len(dims) == 1:
        size = prod(preprocessing.size) if preprocessing.size else isqrt(max(dims[0], 0)) ** 2
        return 1 if size == dims[0] else 3
    return 1


def _check_takes_images(spec: TensorSpec, size: tuple[int, int] | None, channels: int) -> None:
    # Rows of [channels, height, width] or the like, of [height, width], or of as many values.
    ranks = (2, 3, 4) if channels == 1 else (2, 4)
    holds_one = len(spec.shape) in ranks and (size is None or min(size) > 0)
    if not holds_one or spec.datatype.dtype.kind not in "iuf":
        raise UnsupportedError(
            f"input {quote(spec.name)} of `{spec.datatype.name}` and shape `{spec.dims}` takes no images; "
            "send tensors"
        )


def _open_images(
    spec: TensorSpec, images: Sequence[object], size: tuple[int, int] | None, channels: int
) -> "list[Image]":
    """The images with only their headers read, within the bounds."""
    if len(images) > REQUEST_IMAGES:
        raise MalformedRequestError(
            f"input {quote(spec.name)}: the request has `{len(images)}` images, at most `{REQUEST_IMAGES}`"
        )
    opened: list[Image] = []
    pixels = values = 0
    for position, image in enumerate(images):
        opened.append(_open_image(_name_place(spec, position), image))
        pixels += prod(opened[-1].size)
        values += prod(size or opened[-1].size) * channels
        _check_total(spec, position, "pixels", pixels, REQUEST_PIXELS)
        _check_total(spec, position, "values", values, REQUEST_VALUES)
        if size is None and opened[-1].size != opened[0].size:
            raise MalformedRequestError(
                f"{_name_place(spec, position)} has `{_format_size(opened[-1])}` pixels, expected "
                f"`{_format_size(opened[0])}`, as the first: all images in a request must be of one size"
            )
    return opened


def _check_total(spec: TensorSpec, position: int, unit: str, count: int, most: int) -> None:
    if count > most:
        raise MalformedRequestError(
            f"{_name_place(spec, position)}: the images up to here have `{count}` {unit}, at most `{most}` "
            "in a request; send fewer or smaller ones"
        )


def _name_place(spec: TensorSpec, position: int) -> str:
    return f"input {quote(spec.name)}: `instances[{position}]`"


def _format_size(image: "Image") -> str:
    return "{} × {}".format(*image.size)


def _open_image(place: str, image: object) -> "Image":
    """The image with only its header read; raises `MalformedRequestError` for other or too large files."""
    text = image.get(KEY) if isinstance(image, dict) else None
    if not isinstance(text, str):
        raise MalformedRequestError(f'{place} is {quote(image)}, expected an image, `{{"{KEY}": "..."}}`')
    try:
        file = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedRequestError(
            f"{place} is not in base64, without line breaks and without `data:` before it: {error}"
        ) from error
    try:
        opened: Image = _pillow().open(io.BytesIO(file), formats=FORMATS)
    except BROKEN as error:
        raise MalformedRequestError(
            f"{place} is not a PNG or JPEG image that can be read: its `{len(file)}` bytes begin with "
            f"{quote(file[:8].decode('latin-1'))}"
        ) from error
    if prod(opened.size) > IMAGE_PIXELS:
        raise MalformedRequestError(
            f"{place} has `{_format_size(opened)}` pixels, at most `{IMAGE_PIXELS}` in all; "
            "send a smaller image"
        )
    if opened.mode not in EIGHT_BITS:
        raise MalformedRequestError(f"{place} has more than 8 bits a colour; send it with 8")
    return opened


def _make_row(spec: TensorSpec, position: int, opened: "Image", preprocessing: Preprocessing) -> Array:
    """The image's row of the tensor; frees the image's pixels, so it can be used only once."""
    mode = "L" if preprocessing.color == "L" else "RGB"
    try:
        opened.load()
        image = opened if opened.mode == mode else opened.convert(mode)
    except BROKEN as error:
        raise MalformedRequestError(
            f"{_name_place(spec, position)} is a broken {opened.format} image: {quote(str(error))}"
        ) from error
    size = preprocessing.size_for(spec)
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], BILINEAR)
    pixels = np.asarray(image, np.uint8).reshape(*image.size[::-1], -1)
    opened.close()
    row: Array = preprocessing.prepare(pixels, spec.datatype.dtype)[0]
    if len(spec.shape) == 4:
        return row
    return row.reshape(image.size[::-1] if len(spec.shape) == 3 else -1)


@cache
def _pillow() -> Any:
    """Pillow's `Image` module, imported at the first image."""
    try:
        from PIL import Image  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "images are not read here, since Pillow is not installed; send tensors"
        ) from error
    # Our own bound is lower, and Pillow's would be a warning in the middle of a request.
    Image.MAX_IMAGE_PIXELS = None
    # Its warnings quote the file: a client could write into the log, as much as it likes.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image
