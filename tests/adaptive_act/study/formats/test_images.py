import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptive_act.errors import DataError
from adaptive_act.study.formats import read_dataset


def image(path: Path, value: int | tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)


def test_each_sub_folder_is_a_class(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "b.png", 20)
    image(tmp_path / "cat" / "a.png", 10)
    image(tmp_path / "dog" / "a.png", 30)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    found = read_dataset(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert found.train.samples.shape == (3, 1, 4, 6)
    assert found.train.samples[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert found.train.labels.tolist() == [0, 0, 1]


def test_one_colour_image_makes_all_of_them_colour(tmp_path: Path) -> None:
    for part in ("train", "test"):
        image(tmp_path / part / "cat" / "a.png", (1, 2, 3))
        image(tmp_path / part / "dog" / "a.png", 30)
    found = read_dataset(str(tmp_path))
    assert found.test is not None
    assert found.train.samples[:, :, 0, 0].tolist() == [[1, 2, 3], [30, 30, 30]]
    assert np.array_equal(found.train.samples, found.test.samples)


def test_sizes_that_differ_need_a_common_one(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "a.png", 10)
    image(tmp_path / "dog" / "a.png", 30, (8, 8))
    with pytest.raises(DataError, match="--resize"):
        read_dataset(str(tmp_path))
    assert read_dataset(str(tmp_path), resize=5).train.samples.shape == (2, 1, 5, 5)


def test_an_image_beyond_pils_limit_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(tmp_path / "cat" / "a.png", 10)
    image(tmp_path / "dog" / "a.png", 30, (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="refused"):
        read_dataset(str(tmp_path), resize=4)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_file_that_is_no_image_is_named(content: bytes, tmp_path: Path) -> None:
    image(tmp_path / "cat" / "a.png", 10)
    image(tmp_path / "dog" / "a.png", 30)
    (tmp_path / "dog" / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.png"):
        read_dataset(str(tmp_path))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "a.png", 10)
    image(tmp_path / "dog" / "a.png", 30)
    whole = (tmp_path / "dog" / "a.png").read_bytes()
    (tmp_path / "dog" / "a.png").write_bytes(whole[: whole.index(b"IDAT") + 6])
    with pytest.raises(DataError, match=r"a\.png"):
        read_dataset(str(tmp_path))


def test_a_class_that_only_the_test_has_is_refused(tmp_path: Path) -> None:
    for folder in ("train/cat", "train/dog", "test/cat", "test/cow"):
        image(tmp_path / folder / "a.png", 10)
    with pytest.raises(DataError, match="cow"):
        read_dataset(str(tmp_path))


@pytest.mark.parametrize("source", ["nowhere", "."])
def test_what_is_no_data_set_says_what_would_be_one(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        read_dataset(source)
