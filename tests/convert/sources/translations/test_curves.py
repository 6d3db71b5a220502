from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.convert.sources.translations.calls import run_exported, run_in_torch

MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "one_axis": lambda x: x.mean(1, dtype=torch.float32),
    "last": lambda x: x.mean(-1, keepdim=True, dtype=torch.float32),
    "two_axes": lambda x: x.mean((0, 2), dtype=torch.float32),
    "all": lambda x: x.mean(dtype=torch.float32),
    "all_axes": lambda x: x.mean((), keepdim=True, dtype=torch.float32),
    "real": lambda x: x.float().mean((1, 2)),
    "number": lambda x: x.sum().float().mean(0),
}


@pytest.mark.slow
def test_the_mean_of_whole_numbers_has_fractions() -> None:
    x = np.arange(24).reshape(2, 3, 4) % 7
    got = run_exported(MEANS, [x])
    for name, function in MEANS.items():
        np.testing.assert_allclose(got[name], run_in_torch(function, [x]), rtol=2.4e-7, err_msg=name)


@pytest.mark.slow
def test_the_logarithm_of_a_sigmoid_is_finite() -> None:
    x = np.array([-1e4, -100, -20, -5, -1, 0, 1, 5, 20, 1e4], np.float32)
    got = run_exported({"y": F.logsigmoid}, [x])["y"]
    expected = -np.logaddexp(0, -x.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=2.4e-7, atol=1e-7)
