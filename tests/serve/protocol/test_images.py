import base64
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from convert.manifest.preprocessing import Preprocessing, decode_preprocessing
from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription
from serve.engine.errors import MalformedRequestError, UnsupportedError
from serve.engine.manifest import Json
from serve.engine.signature import TensorSpec
from serve.protocol import images
from serve.protocol.images import IMAGE_PIXELS, REQUEST_IMAGES, is_image, read_images

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
GRAY = PIXELS[:, :, 0]
PLAIN = ModelDescription(preprocessing=Preprocessing())


def _b64(pixels: NDArray[np.uint8], form: str = "PNG", **options: Any) -> dict[str, str]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def _spec(*shape: int | str | None, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec("x", BY_NAME[datatype], ("N", *shape))


def _read(spec: TensorSpec, image: object, **preprocessing: Json) -> NDArray[Any]:
    described = ModelDescription(preprocessing=decode_preprocessing(preprocessing))
    row: NDArray[Any] = read_images(spec, [image], described)[0]
    return row


def test_pixels_are_scaled_and_channels_come_first() -> None:
    expected = PIXELS.transpose(2, 0, 1) / 255
    assert np.allclose(_read(_spec(3, 4, 6), _b64(PIXELS)), expected, atol=1e-6)


def test_the_manifest_says_what_a_pixel_becomes() -> None:
    got = _read(_spec(3, 4, 6), _b64(PIXELS), mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2.0], scale=0.01)
    expected = (PIXELS * 0.01 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0]
    assert np.allclose(got, expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 6, 3), PIXELS / 255),
        (("h", "w", 3), PIXELS / 255),
        ((3, "h", "w"), PIXELS.transpose(2, 0, 1) / 255),
    ],
)
def test_the_inputs_shape_says_where_the_colours_are(
    shape: tuple[int | str, ...], expected: NDArray[Any]
) -> None:
    assert np.allclose(_read(_spec(*shape), _b64(PIXELS)), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6, 1), (4, 6), ("h", "w")])
def test_an_input_without_colours_takes_gray_images(shape: tuple[int | str, ...]) -> None:
    got = _read(_spec(*shape), _b64(GRAY))
    assert np.allclose(got.ravel(), GRAY.ravel() / 255, atol=1e-6)
    assert got.ndim == len(shape)


def test_a_flat_input_takes_square_images_row_by_row() -> None:
    square = PIXELS[:4, :4]
    assert np.allclose(_read(_spec(16), _b64(square[:, :, 0])), square[:, :, 0].ravel() / 255, atol=1e-6)
    assert np.allclose(_read(_spec(48), _b64(square)), square.transpose(2, 0, 1).ravel() / 255, atol=1e-6)


def test_an_input_of_bytes_takes_pixels_as_they_are() -> None:
    got = _read(_spec(4, 6, 3, datatype="UINT8"), _b64(PIXELS))
    assert got.dtype == np.uint8
    assert np.array_equal(got, PIXELS)


def test_an_image_of_another_size_is_brought_to_the_models() -> None:
    even = np.full((50, 70, 3), 200, np.uint8)
    got = _read(_spec(3, 4, 6), _b64(even))
    assert got.shape == (3, 4, 6)
    assert np.allclose(got, 200 / 255, atol=1e-6)


def test_the_manifest_gives_a_size_that_the_shape_leaves_open() -> None:
    assert _read(_spec(3, "h", "w"), _b64(PIXELS), size=[2, 5]).shape == (3, 2, 5)


def test_jpeg_and_transparent_and_paletted_images_are_read() -> None:
    even = np.full((4, 6, 3), 100, np.uint8)
    transparent = np.dstack([even, np.full((4, 6), 255, np.uint8)])
    palette = io.BytesIO()
    Image.fromarray(even).convert("P", palette=Image.Palette.ADAPTIVE).save(palette, "PNG")
    paletted = {"b64": base64.b64encode(palette.getvalue()).decode()}
    for image in (_b64(even, "JPEG", quality=95), _b64(transparent), paletted):
        assert np.allclose(_read(_spec(3, 4, 6), image), 100 / 255, atol=0.02)


def _png(width: int, height: int, bits: int = 8, data: bytes = b"", last: bytes = b"IEND") -> dict[str, str]:
    """A gray PNG whose head says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(last, b"")
    return {"b64": base64.b64encode(whole).decode()}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"b64": "!!!"}, "is not in base64, without line breaks"),
        ({"b64": "ü"}, "is not in base64, without line breaks"),
        ({"b64": "data:image/png;base64,YWJj"}, "is not in base64, without line breaks and without `data:`"),
        ({"b64": "YWJj"}, "is not a PNG or JPEG image that can be read: its `3` bytes begin with `abc`"),
        ({"b64": ""}, "is not a PNG or JPEG image that can be read: its `0` bytes begin with ``"),
        ({"b64": 7}, 'is `{\'b64\': 7}`, expected an image, `{"b64": "..."}`'),
        ([1, 2], "is `[1, 2]`, expected an image"),
        (_b64(PIXELS, "GIF"), "is not a PNG or JPEG image that can be read: its"),
        (_png(4, 4, data=b"rubbish"), "is a broken PNG image: `"),
        (_png(4, 4, data=zlib.compress(b"")), "is a broken PNG image: `"),
        (_png(4, 4, data=zlib.compress(bytes(20)), last=b"iCCP"), "is a broken PNG image: `"),
        ({"b64": _b64(PIXELS, "JPEG")["b64"][:-40]}, "is a broken JPEG image: `"),
        (_png(2**20, 2**20), f"has `{2**20} × {2**20}` pixels, at most `{IMAGE_PIXELS}`"),
        (_png(4, 4, bits=16, data=zlib.compress(bytes(36))), "has more than 8 bits a colour"),
    ],
)
def test_what_is_no_image_that_can_be_read_is_refused(image: object, message: str) -> None:
    with pytest.raises(MalformedRequestError) as error:
        read_images(_spec(1, 4, 4), [image], PLAIN)
    assert str(error.value).startswith(f"input `x`: `instances[0]` {message}")


@pytest.mark.parametrize(("bound", "what"), [("REQUEST_PIXELS", "pixels"), ("REQUEST_VALUES", "values")])
def test_the_images_of_a_request_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch, bound: str, what: str
) -> None:
    monkeypatch.setattr(images, bound, GRAY.size)
    read_images(_spec(1, 4, 6), [_b64(GRAY)], PLAIN)
    with pytest.raises(MalformedRequestError) as error:
        read_images(_spec(1, 4, 6), [_b64(GRAY)] * 2, PLAIN)
    assert f"`instances[1]`: the images up to here have `48` {what}, at most `24`" in str(error.value)


@pytest.mark.parametrize("options", [{}, {"size": [16_384, 16_384]}], ids=["its own size", "the manifest's"])
def test_too_large_a_tensor_is_refused_before_decoding(
    options: dict[str, Json],
) -> None:
    # What is not there cannot be decoded: that would be another message.
    side = 16_384 if options else 5792
    message = f"`{3 * side**2}` values, at most" if not options else f"`{side**2}` pixels after resizing"
    with pytest.raises(MalformedRequestError, match=message):
        _read(_spec(3, "h", "w"), _png(5792, 5792), **options)


def test_a_narrow_image_does_not_grow_without_bounds() -> None:
    with pytest.raises(MalformedRequestError, match="`65536000` pixels after resizing to `256000 × 256`"):
        _read(_spec(3, 8, 8), _png(20_000, 20), resize=256, crop=[8, 8])
    narrow = _b64(np.zeros((1, 20_000), np.uint8))
    assert _read(_spec(3, 8, 8), narrow, resize=8, crop=[8, 8]).shape == (3, 8, 8)


def test_images_of_other_modes_are_as_pillow_converts_them() -> None:
    for mode in ("CMYK", "L", "P", "1", "LA", "RGBA"):
        image = Image.fromarray(PIXELS).convert(mode)
        stream = io.BytesIO()
        image.save(stream, "JPEG" if mode == "CMYK" else "PNG")
        expected = np.asarray(Image.open(stream).convert("RGB")).transpose(2, 0, 1) / 255
        sent = {"b64": base64.b64encode(stream.getvalue()).decode()}
        assert np.allclose(_read(_spec(3, 4, 6), sent, scale=1 / 255), expected, atol=1e-6), mode


def test_an_image_is_not_turned_and_of_several_the_first_counts() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image = Image.fromarray(PIXELS)
    image.save(stream, "PNG", exif=exif, save_all=True, append_images=[Image.new("RGB", (6, 4))])
    sent = {"b64": base64.b64encode(stream.getvalue()).decode()}
    assert np.allclose(_read(_spec(3, 4, 6), sent), PIXELS.transpose(2, 0, 1) / 255, atol=1e-6)


def test_images_are_counted_before_the_first_is_opened() -> None:
    with pytest.raises(MalformedRequestError, match=f"`4097` images, at most `{REQUEST_IMAGES}`"):
        read_images(_spec(1, 4, 6), [{"b64": ""}] * (REQUEST_IMAGES + 1), PLAIN)


def test_an_images_pixels_are_freed_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []

    def recorded(name: str) -> Callable[[PngImageFile], None]:
        method = getattr(PngImageFile, name)

        def call(image: PngImageFile) -> None:
            events.append(name)
            method(image)

        return call

    for name in ("load_end", "close"):
        monkeypatch.setattr(PngImageFile, name, recorded(name))
    read_images(_spec(1, 4, 6), [_b64(GRAY)] * 2, PLAIN)
    assert events == ["load_end", "close"] * 2


def test_images_of_a_free_size_are_of_one_size_in_a_request() -> None:
    with pytest.raises(MalformedRequestError) as error:
        read_images(_spec(1, "h", "w"), [_b64(GRAY), _b64(GRAY[:2])], PLAIN)
    assert "`instances[1]` has `6 × 2` pixels, expected `6 × 4`, as the first" in str(error.value)


def test_images_of_several_sizes_are_brought_to_the_models() -> None:
    even = [np.full((side, side, 3), 10 * side, np.uint8) for side in (5, 7, 9)]
    got = read_images(_spec(3, 4, 6), [_b64(each) for each in even], PLAIN)
    assert got.shape == (3, 3, 4, 6)
    assert np.allclose(got[:, 0, 0, 0], np.array([50, 70, 90]) / 255)


@pytest.mark.parametrize(
    ("spec", "preprocessing", "message"),
    [
        (_spec(3, 4, 6, datatype="BYTES"), {}, r"of `BYTES` and shape `\[-1, 3, 4, 6\]` takes no images"),
        (_spec(3, 4, 6, datatype="BOOL"), {}, "of `BOOL` and shape .* takes no images; send tensors"),
        (_spec(1, 3, 4, 6), {}, "takes no images; send tensors"),
        (_spec(), {}, "takes no images; send tensors"),
        (_spec(2), {}, "takes no images; send tensors"),
        (_spec(3, 0, 0), {}, "takes no images; send tensors"),
        (_spec(4, 6), {"color": "RGB"}, "takes no images; send tensors"),
    ],
)
def test_an_input_that_takes_no_images_says_so(
    spec: TensorSpec, preprocessing: dict[str, Json], message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        _read(spec, _b64(PIXELS), **preprocessing)


@pytest.mark.parametrize("described", [None, ModelDescription(classes=("cat",))])
def test_without_a_description_nothing_is_guessed(described: ModelDescription | None) -> None:
    with pytest.raises(UnsupportedError, match="does not say how an image becomes its input; write"):
        read_images(_spec(3, 4, 6), [_b64(PIXELS)], described)


def test_what_the_file_describes_and_cannot_be_followed_is_said() -> None:
    with pytest.raises(UnsupportedError, match="unknown key"):
        read_images(_spec(3, 4, 6), [_b64(PIXELS)], ModelDescription(problem="unknown key"))


def test_an_image_is_an_object_with_nothing_but_its_text() -> None:
    assert is_image({"b64": "x"})
    assert not is_image({"b64": "x", "y": 1})
    assert not is_image([1])


def test_pillow_is_loaded_with_the_first_image_only() -> None:
    code = "import sys, serve.protocol.predict; raise SystemExit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pillows_warnings_are_not_logged() -> None:
    image = _b64(PIXELS, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05")
    images._pillow.cache_clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _read(_spec(3, 4, 6), image)
    assert not said
