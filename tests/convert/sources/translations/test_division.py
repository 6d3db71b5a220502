from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from convert.model_io.array import Array
from tests.convert.sources.translations.calls import run_exported, run_in_torch

WHOLE: dict[str, Callable[..., Tensor]] = {
    "trunc": lambda x: torch.div(x, -7, rounding_mode="trunc"),
    "floor": lambda x: torch.div(x, 7, rounding_mode="floor"),
    "floor_by_tensor": lambda x: torch.div(x, 3 - 2 * x.abs().clamp(0, 5), rounding_mode="floor"),
    "operator": lambda x: x // -7,
    "remainder": lambda x: x % -7,
    "of_number": lambda x: 10**6 % x.clamp_min(3),
}
REAL: dict[str, Callable[..., Tensor]] = {
    "trunc": lambda x: torch.div(x, 0.1, rounding_mode="trunc"),
    "floor": lambda x: torch.div(x, -0.1, rounding_mode="floor"),
    "operator": lambda x: x // 0.1,
    "by_zero": lambda x: x // 0,
    "remainder": lambda x: x % 7,
    "negative": lambda x: x % -7.5,
    "by_tensor": lambda x: x % (x * 0.3 + 1),
    "of_number": lambda x: 1e9 % (x.abs() + 0.3),
}


def make_whole(dtype: str) -> Array:
    """The limits of the type and of the floating point types, and numbers around 0."""
    limits = np.iinfo(dtype)
    corners = [
        0,
        1,
        -1,
        6,
        7,
        -7,
        -8,
        2**24 + 1,
        -(2**24) - 1,
        2**31 - 9,
        2**53 + 1,
        -(2**53) - 1,
        10**18 + 3,
    ]
    inside = [number for number in corners if limits.min <= number <= limits.max]
    return np.array([*inside, limits.max, limits.min + 1], dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_whole_numbers_are_divided_as_in_torch(dtype: str) -> None:
    x = make_whole(dtype)
    got = run_exported(WHOLE, [x])
    for name, function in WHOLE.items():
        assert got[name].tolist() == run_in_torch(function, [x]).tolist(), name


@pytest.mark.slow
def test_real_numbers_are_divided_as_in_torch() -> None:
    x = np.array(
        [0, 0.5, 1.5, -0.3, -7.3, 7.3, 14, -14, 1e4, -1e4, 1e9, -1e9, 1e9 + 64, 3e9, 1e20], np.float32
    )
    got = run_exported(REAL, [x])
    for name, function in REAL.items():
        np.testing.assert_allclose(got[name], run_in_torch(function, [x]), rtol=2.4e-7, err_msg=name)
