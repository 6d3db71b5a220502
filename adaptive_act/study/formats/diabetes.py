"""Real measurements of diabetes patients, bundled with scikit-learn: a number to predict from ten."""

from pathlib import Path

import numpy as np

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import RawDataset, make_number_dataset, make_number_set


def read() -> RawDataset:
    """442 patients with ten features, and the progression of the disease after a year, from 25 to 346.

    Source: Efron et al. 2004, https://arxiv.org/abs/math/0406456. No test samples are kept apart. Raises
    DataError where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_diabetes  # noqa: PLC0415  # an optional dependency
    except ImportError as error:
        raise DataError("the diabetes data come with scikit-learn: `pip install scikit-learn`") from error
    samples, progression = load_diabetes(return_X_y=True, scaled=False)
    train = make_number_set(Path("diabetes"), samples.astype(np.float32), progression)
    return make_number_dataset("diabetes", train, None)
