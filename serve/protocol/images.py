"""Images in requests, PNG or JPEG in base64, made into the tensors that a model takes."""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from serve.engine.errors import MalformedRequestError, UnsupportedError, listed, quoted
from serve.engine.manifest import Json
from serve.engine.preprocessing import Preprocessing, read_preprocessing
from serve.engine.signature import Array, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

KEY = "b64"
FORMATS = ("PNG", "JPEG")
# A file of some kilobytes may hold any number of pixels, and a request any number of files.
IMAGE_PIXELS = 2**25
REQUEST_PIXELS = 2**26
REQUEST_VALUES = 2**25
BILINEAR = 2  # Pillow's number
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def is_image(value: object) -> bool:
    """Whether the instance is an image: an object with nothing but `b64`."""
    return isinstance(value, dict) and set(value) == {KEY}


def read_images(spec: TensorSpec, images: Sequence[object], manifest: Mapping[str, Json] | None) -> Array:
    """The input's tensor, a row for each image, each brought to the size and the numbers the manifest says.

    Raises `MalformedRequestError` for what is no image or too large, `UnsupportedError` for an input that
    takes no images.
    """
    preprocessing = preprocessing_of(spec, manifest)
    size = preprocessing.size_for(spec)
    rows: list[Array] = []
    pixels = 0
    for position, image in enumerate(images):
        opened = _opened(position, image)
        pixels += prod(opened.size)
        _check(position, "pixels", pixels, REQUEST_PIXELS)
        rows.append(_row(position, opened, spec, preprocessing, size))
        _check(position, "values", len(rows) * rows[-1].size, REQUEST_VALUES)
    shapes = sorted({str(list(row.shape[1:])) for row in rows})
    if len(shapes) > 1:
        raise MalformedRequestError(
            f"input {quoted(spec.name)} takes images of one size in a request, got {listed(shapes)}"
        )
    return np.concatenate(rows)


def preprocessing_of(spec: TensorSpec, manifest: Mapping[str, Json] | None) -> Preprocessing:
    """What becomes of an image; raises `UnsupportedError` for what the manifest says and nobody can follow.

    Where it says nothing of the colours, of the order or of the size, the input's shape tells.
    """
    told = (manifest or {}).get("preprocessing")
    read = read_preprocessing(manifest)
    if told is not None and read is None:
        raise UnsupportedError(
            f"the manifest's preprocessing {quoted(told)} cannot be followed here; send tensors, not images"
        )
    named = told if isinstance(told, dict) else {}
    found = read or Preprocessing()
    dims = spec.dims[1:]
    if "layout" not in named and len(dims) == 3 and dims[0] not in (1, 3):
        found = replace(found, channels_first=dims[2] not in (1, 3))
    if "color" not in named and _channels(dims, found) == 1:
        found = replace(found, color="L")
    if found.size is None and len(dims) == 2 and min(dims) > 0:
        found = replace(found, size=(dims[0], dims[1]))
    if found.size is None and len(dims) == 1 and dims[0] > 0:
        side = isqrt(dims[0] // (1 if found.color == "L" else 3))
        found = replace(found, size=(side, side))
    return found


def _channels(dims: Sequence[int], found: Preprocessing) -> int:
    """How many colours an input of these sizes takes; -1 for any."""
    if len(dims) == 3:
        return dims[0] if found.channels_first else dims[2]
    if len(dims) == 1:
        size = prod(found.size) if found.size else isqrt(max(dims[0], 0)) ** 2
        return 1 if size == dims[0] else 3
    return 1


def _check(position: int, what: str, count: int, most: int) -> None:
    if count > most:
        raise MalformedRequestError(
            f"the images up to `instances[{position}]` have `{count}` {what} together, at most `{most}`; "
            "send them in several requests"
        )


def _opened(position: int, image: object) -> "Image":
    """The image with its head read and nothing decoded, within the bound on its pixels."""
    pillow = _pillow()
    text = image.get(KEY) if isinstance(image, dict) else None
    if not isinstance(text, str):
        raise MalformedRequestError(f'`instances[{position}]` is not an image, `{{"{KEY}": "..."}}`')
    try:
        opened: Image = pillow.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=FORMATS)
    except binascii.Error as error:
        raise MalformedRequestError(f"`instances[{position}]` is not in base64: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise MalformedRequestError(f"`instances[{position}]` is neither a PNG nor a JPEG image") from error
    if prod(opened.size) > IMAGE_PIXELS:
        width, height = opened.size
        raise MalformedRequestError(
            f"`instances[{position}]` has `{width} × {height}` pixels, at most `{IMAGE_PIXELS}`"
        )
    if opened.mode not in EIGHT_BITS:
        raise MalformedRequestError(f"`instances[{position}]` has more than 8 bits a colour; send it with 8")
    return opened


def _row(
    position: int,
    opened: "Image",
    spec: TensorSpec,
    preprocessing: Preprocessing,
    size: tuple[int, int] | None,
) -> Array:
    try:
        image = opened.convert("L" if preprocessing.color == "L" else "RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise MalformedRequestError(f"`instances[{position}]` is a broken image") from error
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], BILINEAR)
    pixels = np.asarray(image, np.uint8).reshape(*image.size[::-1], -1)
    if spec.datatype.dtype.kind not in "iuf":
        raise UnsupportedError(
            f"input {quoted(spec.name)} is of `{spec.datatype.name}`, which takes no images; send tensors"
        )
    row = preprocessing.prepared(pixels, spec.datatype.dtype)
    if len(spec.shape) == 4:
        return row
    shape = [1, *(row.shape[2:] if len(spec.shape) == 3 and row.shape[1] == 1 else [row.size])]
    if len(shape) != len(spec.shape):
        raise UnsupportedError(
            f"input {quoted(spec.name)} of shape `{spec.dims}` takes no images; send tensors"
        )
    return row.reshape(shape)


def _pillow() -> Any:
    """Pillow's module of images, loaded when the first image comes."""
    try:
        from PIL import Image  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "images are not read here, since Pillow is not installed; send tensors"
        ) from error
    # Our own bound is lower, and Pillow's would be a warning in the middle of a request.
    Image.MAX_IMAGE_PIXELS = None
    return Image
