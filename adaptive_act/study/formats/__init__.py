"""Data sets on disk, each format in its own file, read within memory bounds and without running code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adaptive_act.errors import DataError
from adaptive_act.study.formats import cifar_binary, cifar_pickle, diabetes, digits, idx, images, npz
from adaptive_act.study.formats.raw import RawDataset
from adaptive_act.study.specs import TaskName

BUNDLED: Mapping[str, Callable[[], RawDataset]] = {"digits": digits.read, "diabetes": diabetes.read}
"""The data sets that come with scikit-learn."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is recognised and read."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], RawDataset]
    expected: str


FORMATS: Mapping[str, Format] = {
    "npz": Format(npz.matches, npz.read, "an .npz file with x_train, y_train (and x_test, y_test) or x, y"),
    "idx": Format(
        idx.matches, idx.read, f"a folder with {idx.TRAIN_IMAGES} and its companions, plain or .gz"
    ),
    "cifar-binary": Format(
        cifar_binary.matches, cifar_binary.read, "a folder with data_batch_1.bin ... test_batch.bin"
    ),
    "cifar-pickle": Format(
        cifar_pickle.matches, cifar_pickle.read, "a folder with data_batch_1 ... test_batch (pickled)"
    ),
}


def read_dataset(source: str, resize: int | None = None, task: TaskName | None = None) -> RawDataset:
    """The data set at `source`, in the format of its files; `resize` is for folders of images.

    Raises DataError where nothing known is there, a file is damaged, foreign or too large, or what it holds
    does not fit the task.
    """
    data = _read(source, resize, task)
    held = "classification" if data.classes else "regression"
    if task not in (None, held):
        raise DataError(f"`{source}` holds data for {held}, got `--task {task}`")
    return data


def _read(source: str, resize: int | None, task: TaskName | None) -> RawDataset:
    if source in BUNDLED:
        return BUNDLED[source]()
    path = Path(source)
    if not path.exists():
        names = ", ".join(f"`{name}`" for name in BUNDLED)
        raise DataError(f"there is no data at `{path}`; expected {names} or the path of {_expected()}")
    if npz.matches(path):
        return npz.read(path, task)
    for form in FORMATS.values():
        if form.matches(path):
            return form.read(path)
    if images.matches(path):
        return images.read(path, resize)
    raise DataError(f"`{path}` holds no data set that is known here; expected {_expected()}")


def _expected() -> str:
    return "; ".join([*(form.expected for form in FORMATS.values()), images.EXPECTED])
