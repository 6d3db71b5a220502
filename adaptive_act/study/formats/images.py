"""A folder of images of the user's own: a sub-folder for each class."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import (
    MOST_CLASSES,
    RawDataset,
    SampleSet,
    check_bytes,
    make_dataset,
    make_sample_set,
)

EXPECTED = "a folder with a sub-folder of images for each class, at its top or in train/ and test/"
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
MOST_FILES = 5_000_000

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"))


def matches(path: Path) -> bool:
    """Whether it is a folder with sub-folders."""
    return path.is_dir() and bool(_list_folders(path))


def read(path: Path, resize: int | None) -> RawDataset:
    """The images [n, 1 or 3, height, width], grey where all are; scaled to resize x resize if given.

    Raises DataError where a file is no image, is larger than PIL allows, or differs in size from the others
    with no `resize` given.
    """
    train_folder = path / "train" if (path / "train").is_dir() else path
    classes = tuple(folder.name for folder in _list_folders(train_folder))
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(f"`{train_folder}`: expected 2 to {MOST_CLASSES} class folders, got {len(classes)}")
    folders = [train_folder] + ([path / "test"] if train_folder != path and (path / "test").is_dir() else [])
    files = [_list_files(folder, classes) for folder in folders]
    grey, size = _common_format(
        files[0] + [file for listed_files in files[1:] for file in listed_files], resize
    )
    parts = [
        _read_set(folder, listed, classes, grey, size) for folder, listed in zip(folders, files, strict=True)
    ]
    return make_dataset(path.name, parts[0], parts[1] if len(parts) > 1 else None, classes)


def _list_folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _list_files(folder: Path, classes: Sequence[str]) -> list[Path]:
    unknown = {entry.name for entry in _list_folders(folder)} - set(classes)
    if unknown:
        raise DataError(f"`{folder}`: expected the classes {list(classes)}, got also {sorted(unknown)}")
    files: list[Path] = []
    for name in classes:
        entries = (folder / name).glob("*") if (folder / name).is_dir() else []
        files += sorted(entry for entry in entries if entry.suffix.lower() in _SUFFIXES and entry.is_file())
    if not 0 < len(files) <= MOST_FILES:
        raise DataError(f"`{folder}`: expected 1 to {MOST_FILES:,} images, got {len(files):,}")
    return files


def _common_format(files: Sequence[Path], resize: int | None) -> tuple[bool, tuple[int, int]]:
    """Whether all images are grey, and their size (width, height), from their headers alone."""
    first: tuple[int, int] | None = None
    grey = True
    for file in files:
        mode, size = _read_header(file)
        grey = grey and mode in ("1", "L")
        first = first or size
        if resize is None and size != first:
            raise DataError(
                f"`{file}` has {size[0]}x{size[1]} pixels, expected {first[0]}x{first[1]} as in "
                f"`{files[0]}`; a common size can be asked for (`--resize`)"
            )
    assert first is not None
    return grey, first if resize is None else (resize, resize)


def _read_header(file: Path) -> tuple[str, tuple[int, int]]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # comes with matplotlib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                return image.mode, image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"`{file}` is no image that can be read: {error}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"`{file}` is refused: {error}") from error


def _read_set(
    folder: Path, files: Sequence[Path], classes: Sequence[str], grey: bool, size: tuple[int, int]
) -> SampleSet:
    channels = 1 if grey else 3
    check_bytes(folder, len(files) * channels * size[0] * size[1])
    samples = np.empty((len(files), channels, size[1], size[0]), np.uint8)
    for index, file in enumerate(files):
        samples[index] = _read_pixels(file, grey, size)
    number = {name: index for index, name in enumerate(classes)}
    return make_sample_set(folder, samples, np.array([number[file.parent.name] for file in files]))


def _read_pixels(file: Path, grey: bool, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[channels, height, width]"""
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(file, formats=FORMATS) as image:
            converted = image.convert("L" if grey else "RGB")
            scaled = (
                converted if converted.size == size else converted.resize(size, Image.Resampling.BILINEAR)
            )
            pixels = np.asarray(scaled, np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"`{file}` is no image that can be read: {error}") from error
    return pixels[None] if grey else np.moveaxis(pixels, 2, 0)
