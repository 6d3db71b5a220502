"""The way from an image to a row of a model's input, as a description states it. Standard library only.

An image is resized, cropped from its centre, and then (byte * scale - mean) / std, channel by channel.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from convert.manifest.decode import ManifestError

Color: TypeAlias = Literal["RGB", "BGR", "L"]
Layout: TypeAlias = Literal["NCHW", "NHWC"]
Interpolation: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
CropOffset: TypeAlias = Literal["round", "floor"]
LARGEST_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class Geometry:
    """What becomes of one image: its size after resizing, the zeros added around it, and the part kept."""

    height: int
    width: int
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Left, top, right, bottom, added after resizing."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom of what is kept after that; None for all of it."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is None follows from the model's input; see `decode_preprocessing`."""

    color: Color | None = None
    resize: int | tuple[int, int] | None = None
    """The shorter side, or height and width."""
    crop: tuple[int, int] | None = None
    """Height and width of the part from the centre that is kept after resizing."""
    crop_offset: CropOffset = "round"
    """How half a pixel beside it is rounded: to the even one as torchvision, or as transformers."""
    interpolation: Interpolation = "bilinear"
    """Pillow's filter of this name."""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Layout | None = None

    def place(self, height: int, width: int) -> Geometry:
        """What becomes of an image of this size."""
        if isinstance(self.resize, int):
            short, long = min(height, width), max(height, width)
            longer = int(self.resize * long / short)
            height, width = (self.resize, longer) if height <= width else (longer, self.resize)
        elif self.resize is not None:
            height, width = self.resize
        if self.crop is None:
            return Geometry(height, width)
        missing = [max(0, wanted - side) for wanted, side in zip(self.crop, (height, width), strict=True)]
        halves = [(each // 2, (each + 1) // 2) for each in missing]
        # The larger half of an odd number is below the image in torchvision, above it in transformers.
        (top, below), (left, right) = (
            halves if self.crop_offset == "round" else [each[::-1] for each in halves]
        )
        y, x = (
            self._round((side + more - wanted) / 2)
            for side, more, wanted in zip((height, width), missing, self.crop, strict=True)
        )
        return Geometry(height, width, (left, top, right, below), (x, y, x + self.crop[1], y + self.crop[0]))

    def _round(self, offset: float) -> int:
        return round(offset) if self.crop_offset == "round" else math.floor(offset)

    def to_json(self) -> dict[str, Any]:
        """The description that `decode_preprocessing` reads, without what is as it is by default."""
        default = asdict(Preprocessing())
        given = {key: value for key, value in asdict(self).items() if value != default[key]}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


IMAGENET = Preprocessing(
    color="RGB", resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
"""What most classifiers trained on ImageNet are evaluated with."""


LEAST_STD = 1e-6
"""Divided by less, bytes would leave the range in which float32 is precise."""


def decode_preprocessing(content: object, where: str = "preprocessing") -> Preprocessing:
    """The preprocessing that the mapping describes, each of its keys optional.

    `size` is an older name of `resize` as [height, width]. Raises ManifestError for an unknown key, since a
    step left out would give wrong answers, and for a value that is none of its key's.
    """
    if not isinstance(content, Mapping):
        raise ManifestError(f"`{where}` is `{type(content).__name__}`, expected keys and values")
    known = (*Preprocessing.__dataclass_fields__, "size")
    unknown = next((key for key in content if key not in known), None)
    if unknown is not None:
        raise ManifestError(
            f"`{where}` has the unknown key `{str(unknown)[:40]}`, expected some of: {', '.join(known)}"
        )
    given = {key: value for key, value in content.items() if value is not None}
    if "size" in given and not given.keys().isdisjoint({"resize", "crop"}):
        raise ManifestError(f"`{where}` has `size` beside `resize` or `crop`, expected only one of the two")
    read = {key: _READERS[key](value, f"{where}.{key}") for key, value in given.items()}
    size = read.pop("size", None)
    result = Preprocessing(**(read if size is None else {**read, "resize": size}))
    channels = {"RGB": (3,), "BGR": (3,), "L": (1,), None: (1, 3)}[result.color]
    for key, numbers in (("mean", result.mean), ("std", result.std)):
        if len(numbers) not in (1, *channels):
            raise ManifestError(
                f"`{where}.{key}` has {len(numbers)} numbers, expected one, or one for each channel"
            )
    if min(result.std) < LEAST_STD:
        raise ManifestError(f"`{where}.std` holds {min(result.std):g}, expected at least {LEAST_STD:g}")
    if result.scale == 0:
        raise ManifestError(f"`{where}.scale` is 0, which makes all images the same; expected another number")
    return result


def _read_choice(kind: Any) -> Any:
    def read(value: object, where: str) -> str:
        choices = get_args(kind)
        if not isinstance(value, str) or value not in choices:
            raise ManifestError(f"`{where}` is `{str(value)[:40]}`, expected one of: {', '.join(choices)}")
        return value

    return read


def _read_side(value: object, where: str) -> int:
    if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
        raise ManifestError(
            f"`{where}` is `{str(value)[:40]}`, expected a number of pixels from 1 to {LARGEST_SIDE}"
        )
    return value


def _read_sides(value: object, where: str) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ManifestError(f"`{where}` is `{str(value)[:40]}`, expected [height, width]")
    return _read_side(value[0], f"{where}[0]"), _read_side(value[1], f"{where}[1]")


def _read_resize(value: object, where: str) -> int | tuple[int, int]:
    return _read_sides(value, where) if isinstance(value, list | tuple) else _read_side(value, where)


def _read_number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e30:
        raise ManifestError(f"`{where}` is `{str(value)[:40]}`, expected a finite number")
    return float(value)


def _read_numbers(value: object, where: str) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return (_read_number(value, where),)
    return tuple(_read_number(number, f"{where}[{place}]") for place, number in enumerate(value[:5]))


_READERS: Mapping[str, Any] = {
    "color": _read_choice(Color),
    "resize": _read_resize,
    "crop": _read_sides,
    "crop_offset": _read_choice(CropOffset),
    "interpolation": _read_choice(Interpolation),
    "size": _read_sides,
    "scale": _read_number,
    "mean": _read_numbers,
    "std": _read_numbers,
    "layout": _read_choice(Layout),
}
