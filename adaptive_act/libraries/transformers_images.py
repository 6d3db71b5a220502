"""The preprocessing of images that a folder's preprocessor_config.json describes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptact.text import first_line
from adaptive_act.libraries.foreign import import_library
from adaptive_act.libraries.images import find_difference

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""By Pillow's numbers."""


def describe_images(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    """The preprocessing, or why there is none, in words.

    It is written only if the library's own processor does the same to an image.
    """
    if not (folder / "preprocessor_config.json").is_file():
        return None, "no preprocessor_config.json, so that preprocessing is not described"
    transformers = import_library("transformers", "hf")
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
        settings: dict[str, Any] = json.loads(processor.to_json_string())
    except Exception as error:  # noqa: BLE001  # the file may name anything
        return None, f"preprocessing is not described: transformers refuses it: {first_line(error, 200)}"
    described = _describe(settings)
    if described is None:
        return None, "preprocessing is not described: it is more or less than resizing, cropping, scaling"
    difference = find_difference(
        described, lambda image: np.asarray(processor(image, return_tensors="np")["pixel_values"])[0]
    )
    if difference is not None:
        return None, f"preprocessing is not described: transformers' own processor is another: {difference}"
    return described, None


def _describe(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    described: dict[str, Any] = {"color": "BGR" if settings.get("do_flip_channel_order") else "RGB"}
    described["layout"] = "NCHW"
    resize = _describe_resize(settings) if settings.get("do_resize") else None
    number = settings.get("resample", 2)
    if resize is None or number not in range(len(_FILTERS)):
        return None
    described |= resize | {"interpolation": _FILTERS[number]}
    if settings.get("do_center_crop"):
        crop = _read_sides(settings.get("crop_size"))
        if crop is None:
            return None
        described |= {"crop": crop, "crop_offset": "floor"}
    rescaled = settings.get("do_rescale", True)
    described["scale"] = settings.get("rescale_factor", 1 / 255) if rescaled else 1.0
    if settings.get("do_normalize"):
        described |= {key: _read_numbers(settings.get(f"image_{key}")) for key in ("mean", "std")}
    return described


def _describe_resize(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    size = settings.get("size")
    exact = _read_sides(size)
    if exact is not None:
        return {"resize": exact}
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else size
    if not isinstance(shortest, int) or (isinstance(size, Mapping) and size.get("longest_edge")):
        return None
    share = settings.get("crop_pct")
    if not isinstance(share, float):
        return {"resize": shortest}
    if shortest >= 384:  # ConvNeXT: such images are resized to a square, and not cropped
        return {"resize": [shortest, shortest]}
    return {"resize": int(shortest / share), "crop": [shortest, shortest], "crop_offset": "floor"}


def _read_sides(size: object) -> list[int] | None:
    """Height and width; None for anything else."""
    sides = [size.get("height"), size.get("width")] if isinstance(size, Mapping) else []
    return [side for side in sides if isinstance(side, int)] if all(sides) and sides else None


def _read_numbers(value: object) -> list[float]:
    return [float(number) for number in value] if isinstance(value, Sequence) else [float(str(value))]
