"""The user's data for fewer bits: the range of each value of a graph, and the right classes of samples."""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationMethod, create_calibrator

from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import Array, SampleSet, read_samples
from convert.precision.gate import count
from convert.precision.sites import Ranges

MOST_SAMPLES = 2048
"""Of the calibration data: the range of a value has long come to rest by then."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Data like those that the model will meet, in batches; of what was given at most MOST_SAMPLES."""

    sets: tuple[SampleSet, ...]
    given: int

    @property
    def used(self) -> int:
        """The samples of the sets."""
        return count(self.sets)


def read_calibration(path: Path, inputs: Sequence[InputSpec]) -> Calibration:
    """The user's calibration data: an .npz file with one array an input, samples along the first axis.

    Of more than MOST_SAMPLES, batches evenly spread over the file are taken. Raises UsageError where the file
    is not that, or holds numbers that are not finite, of which no range can be taken.
    """
    sets = read_samples(path, inputs, "calibration data")
    for samples in sets:
        for spec, array in zip(inputs, samples.arrays, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UsageError(
                    f"array `{spec.name}` in `{path}` holds NaN or Inf, expected finite numbers",
                    hint="leave such samples out of the calibration data",
                )
    whole = Calibration(sets, 0).used
    step = max(1, -(-whole // MOST_SAMPLES))
    named = (replace(one, name=one.name.replace("given", "calibration")) for one in sets[::step])
    return Calibration(tuple(named), whole)


def ranges(
    model: ir.Model, sets: Sequence[SampleSet], done: Callable[[int], None] = lambda count: None
) -> Ranges:
    """The least and largest number of each floating point value; `done` hears of every batch that was run."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(serialise(model)))
    names = [value.name or "" for value in model.graph.inputs]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(proto, file)
        calibrator = create_calibrator(
            file,
            [],
            augmented_model_path=str(Path(folder) / "watched.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Batches(names, sets, done))
        found = calibrator.compute_data()
        return {name: _limits(one.range_value) for name, one in found.items()}


def _limits(found: tuple[Array, Array]) -> tuple[float, float]:
    low, high = (float(limit.reshape(())) for limit in found)
    return low, high


class _Batches:
    """The batches as ONNX Runtime's calibration reads them."""

    def __init__(self, names: Sequence[str], sets: Sequence[SampleSet], done: Callable[[int], None]) -> None:
        self._names = names
        self._left = iter(sets)
        self._done = done
        self._count = 0

    def get_next(self) -> dict[str, Array] | None:
        """The next batch by input; None after the last one."""
        samples = next(self._left, None)
        if samples is None:
            return None
        self._count += 1
        self._done(self._count)
        return dict(zip(self._names, samples.arrays, strict=True))


NAME = "labels"


def labels_of(path: Path, inputs: Sequence[InputSpec], samples: int) -> Array | None:
    """The array `labels`, [samples] of whole numbers from 0; None where there is none.

    The file was read for its samples before, so that it is known to be bounded. Raises UsageError where the
    array is another than that.
    """
    if NAME in {spec.name for spec in inputs}:
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if NAME not in archive.files:
                return None
            found: Array = archive[NAME]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"`{NAME}` in `{path}` cannot be read: {error}") from error
    if found.shape != (samples,) or found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        raise UsageError(
            f"`{NAME}` in `{path}` is {found.dtype.name}{list(found.shape)}, expected whole numbers from 0, "
            f"one for each of {samples} samples"
        )
    return found.astype(np.int64)
