"""Real handwritten digits of 8x8 pixels, bundled with scikit-learn."""

import numpy as np

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import RawDataset, SampleSet, make_dataset

BRIGHTEST = 16


def read() -> RawDataset:
    """1,797 digits [1, 8, 8] with values from 0 to 1; no test samples are kept apart.

    Raises DataError where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415  # an optional dependency
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: `pip install scikit-learn`") from error
    samples, labels = load_digits(return_X_y=True)
    scaled = (samples / BRIGHTEST).astype(np.float32).reshape(-1, 1, 8, 8)
    return make_dataset("digits", SampleSet(scaled, labels.astype(np.int64)), None)
