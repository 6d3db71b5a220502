"""Images in requests, PNG or JPEG in base64, to the model's input tensors."""

import base64
import io
import struct
import warnings
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.manifest.preprocessing import Geometry
from serve.engine.errors import MalformedRequestError, UnsupportedError, quote
from serve.engine.preprocessing import ImageTransform, fit_images
from serve.engine.signature import Array, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from serve.engine.description import ModelDescription

KEY = "b64"
FORMATS = ("PNG", "JPEG")
# A file of some kilobytes may hold any number of pixels, and a request any number of files.
IMAGE_PIXELS = 2**25
REQUEST_IMAGES = 4096
REQUEST_PIXELS = 2**26
REQUEST_VALUES = 2**25
NOT_DESCRIBED = (
    "the model does not say how an image becomes its input; write `preprocessing` into the `config.toml` in "
    'its folder (`preprocessing = "imagenet"`, or a table), or into its file with `adaptact describe`; '
    "or send tensors"
)
# The errors of Pillow for a file that is broken or no image; they have no common class.
BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, struct.error)
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def is_image(value: object) -> bool:
    """Whether the instance is an image: an object with only `b64`."""
    return isinstance(value, dict) and len(value) == 1 and KEY in value


def read_images(spec: TensorSpec, images: Sequence[object], description: "ModelDescription | None") -> Array:
    """The input's tensor, a row for each image, prepared as the model's description says.

    No image is decoded until the sizes in all files' headers are within bounds. Raises
    `MalformedRequestError` for a file that is no image or too large, `UnsupportedError` for an input that
    takes no images, and without a description.
    """
    if description is None or description.preprocessing is None:
        raise UnsupportedError((description and description.problem) or NOT_DESCRIBED)
    transform = fit_images(spec, description.preprocessing)
    opened = _open_images(spec, images, transform)
    first = _make_row(spec, 0, opened[0], transform)
    rows = np.empty((len(opened), *first.shape), first.dtype)
    rows[0] = first
    for position in range(1, len(opened)):
        rows[position] = _make_row(spec, position, opened[position], transform)
    return rows


def _open_images(spec: TensorSpec, images: Sequence[object], transform: ImageTransform) -> "list[Image]":
    """The images with only their headers read, within the bounds."""
    if len(images) > REQUEST_IMAGES:
        raise MalformedRequestError(
            f"input {quote(spec.name)}: the request has `{len(images)}` images, at most `{REQUEST_IMAGES}`"
        )
    opened: list[Image] = []
    pixels = values = 0
    expected = transform.size
    for position, image in enumerate(images):
        place = _name_place(spec, position)
        opened.append(_open_image(place, image))
        geometry = transform.place(opened[-1].height, opened[-1].width)
        resized = geometry.height * geometry.width
        _check_pixels(place, f" after resizing to `{geometry.width} × {geometry.height}`", resized)
        size = _find_final_size(geometry)
        pixels += prod(opened[-1].size) + (
            resized if opened[-1].size != (geometry.width, geometry.height) else 0
        )
        values += prod(size) * transform.channels
        _check_total(spec, position, "pixels", pixels, REQUEST_PIXELS)
        _check_total(spec, position, "values", values, REQUEST_VALUES)
        expected = _check_size(place, size, expected, transform)
    return opened


def _find_final_size(geometry: Geometry) -> tuple[int, int]:
    """Height and width of what is kept."""
    if geometry.box is None:
        return geometry.height, geometry.width
    left, top, right, bottom = geometry.box
    return bottom - top, right - left


def _check_size(
    place: str, size: tuple[int, int], expected: tuple[int, int] | None, transform: ImageTransform
) -> tuple[int, int]:
    """The size that the next image must have: that of the first."""
    if expected is None or size == expected:
        return size
    got, wanted = (" × ".join(map(str, each[::-1])) for each in (size, expected))
    if transform.size is None:
        raise MalformedRequestError(
            f"{place} has `{got}` pixels, expected `{wanted}`, as the first: all images in a request must be "
            "of one size"
        )
    raise UnsupportedError(
        f"{place} has `{got}` pixels once its shorter side is resized, and the input takes `{wanted}`: the "
        "model's preprocessing needs `crop`"
    )


def _check_pixels(place: str, when: str, pixels: int) -> None:
    if pixels > IMAGE_PIXELS:
        raise MalformedRequestError(
            f"{place} has `{pixels}` pixels{when}, at most `{IMAGE_PIXELS}`; send a smaller image"
        )


def _check_total(spec: TensorSpec, position: int, unit: str, count: int, most: int) -> None:
    if count > most:
        raise MalformedRequestError(
            f"{_name_place(spec, position)}: the images up to here have `{count}` {unit}, at most `{most}` "
            "in a request; send fewer or smaller ones"
        )


def _name_place(spec: TensorSpec, position: int) -> str:
    return f"input {quote(spec.name)}: `instances[{position}]`"


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
            f"{place} has `{opened.width} × {opened.height}` pixels, at most `{IMAGE_PIXELS}` in all; "
            "send a smaller image"
        )
    if opened.mode not in EIGHT_BITS:
        raise MalformedRequestError(f"{place} has more than 8 bits a colour; send it with 8")
    return opened


def _make_row(spec: TensorSpec, position: int, opened: "Image", transform: ImageTransform) -> Array:
    """The image's row of the tensor; frees the image's pixels, so it can be used only once."""
    mode = "L" if transform.color == "L" else "RGB"
    try:
        opened.load()
        image = opened if opened.mode == mode else opened.convert(mode)
    except BROKEN as error:
        raise MalformedRequestError(
            f"{_name_place(spec, position)} is a broken {opened.format} image: {quote(str(error))}"
        ) from error
    geometry = transform.place(image.height, image.width)
    if image.size != (geometry.width, geometry.height):
        resample = _pillow().Resampling[transform.preprocessing.interpolation.upper()]
        image = image.resize((geometry.width, geometry.height), resample)
    if geometry.box is not None:
        # Pillow fills what is outside of the image with zeros.
        (left, top, right, bottom), (x, y, _, _) = geometry.box, geometry.padding
        image = image.crop((left - x, top - y, right - x, bottom - y))
    pixels = np.asarray(image, np.uint8).reshape(*image.size[::-1], -1)
    opened.close()
    row = transform.prepare(pixels, spec.datatype.dtype)
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
