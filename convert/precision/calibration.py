"""The user's data for fewer bits: calibration samples, the ranges of values on them, and labels."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationMethod, create_calibrator

from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.model_io.array import Array
from convert.model_io.given import UNREADABLE, count_undefined, read_samples
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import SampleSet
from convert.precision.gate import count_samples
from convert.precision.sites import Ranges

MOST_SAMPLES = 2048
"""The most calibration samples: the range of a value no longer changes with more."""
LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Data like those that the model will meet, in batches; at most MOST_SAMPLES of the user's."""

    sets: tuple[SampleSet, ...]
    total: int

    @property
    def used(self) -> int:
        """The samples of the sets."""
        return count_samples(self.sets)


def read_calibration(path: Path, inputs: Sequence[InputSpec]) -> Calibration:
    """The user's calibration data: an .npz file with one array an input, samples along the first axis.

    Of more than MOST_SAMPLES, batches evenly spread over the file are taken. Raises UsageError for another
    file, and for numbers that are not finite, or samples that are all the same, which show no range.
    """
    sets = read_samples(path, inputs, "calibration data")
    for place, spec in enumerate(inputs):
        numbers, rows = count_undefined([samples.arrays[place] for samples in sets])
        if numbers:
            raise UsageError(
                f"array `{spec.name}` in `{path}` holds NaN or Inf: {numbers:,} numbers, in {rows:,} of "
                f"{count_samples(sets):,} samples, expected finite numbers",
                hint="leave such samples out of the calibration data",
            )
    if all(_has_one_value([samples.arrays[place] for samples in sets]) for place in range(len(inputs))):
        raise UsageError(
            f"`{path}` holds the same sample {count_samples(sets)} times, which shows no range of values",
            hint="give some hundred samples like those that the model will meet",
        )
    whole = count_samples(sets)
    most = max(1, len(sets) * min(MOST_SAMPLES, whole) // whole)
    chosen = (sets[number * len(sets) // most] for number in range(most))
    named = (replace(samples, name=samples.name.replace("given", "calibration")) for samples in chosen)
    return Calibration(tuple(named), whole)


def measure_ranges(
    model: ir.Model, sets: Sequence[SampleSet], on_progress: Callable[[int], None] = lambda done: None
) -> Ranges:
    """The least and largest number of each floating point value.

    `on_progress` is called with the number of batches that have been run.
    """
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
        calibrator.collect_data(_BatchReader(names, sets, on_progress))
        data = calibrator.compute_data()
        return {name: _to_pair(limits.range_value) for name, limits in data.items()}


def _has_one_value(arrays: Sequence[Array]) -> bool:
    """Whether all samples of an input are equal."""
    return all(array.ndim == 0 or bool((array == arrays[0][:1]).all()) for array in arrays)


def _to_pair(limits: tuple[Array, Array]) -> tuple[float, float]:
    low, high = (float(limit.reshape(())) for limit in limits)
    return low, high


class _BatchReader:
    """Gives the batches to ONNX Runtime's calibration, one at a time."""

    def __init__(
        self, names: Sequence[str], sets: Sequence[SampleSet], on_progress: Callable[[int], None]
    ) -> None:
        self._names = names
        self._left = iter(sets)
        self._on_progress = on_progress
        self._done = 0

    def get_next(self) -> dict[str, Array] | None:
        """The next batch by input; None after the last one."""
        samples = next(self._left, None)
        if samples is None:
            return None
        self._done += 1
        self._on_progress(self._done)
        return dict(zip(self._names, samples.arrays, strict=True))


def read_labels(path: Path, inputs: Sequence[InputSpec], samples: int) -> Array | None:
    """The array `labels`, [samples] of whole numbers from 0; None where the file has none.

    The file's samples have been read before, so that its size is known to be bounded. Raises UsageError for
    an array of another shape or type.
    """
    if LABELS in {spec.name for spec in inputs}:
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if LABELS not in archive.files:
                return None
            labels: Array = np.asarray(archive[LABELS])
    except UNREADABLE as error:
        raise UsageError(
            f"`{LABELS}` in `{path}` cannot be read: {str(error) or type(error).__name__}",
            hint="write them with numpy.savez",
        ) from error
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise UsageError(
            f"`{LABELS}` in `{path}` is {labels.dtype.name}{list(labels.shape)}, "
            f"expected whole numbers from 0, one for each of {samples} samples"
        )
    numbers: Array = labels.astype(np.int64)  # a -1 that was stored without a sign is -1 again
    if (numbers < 0).any():
        first = int(np.argmax(numbers < 0))
        raise UsageError(
            f"`{LABELS}` in `{path}` is {labels[first]} for sample {first}, expected whole numbers from 0",
            hint="take samples without a class out, or count the classes from 0",
        )
    return numbers
