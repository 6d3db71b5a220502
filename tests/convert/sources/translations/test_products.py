from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.convert.sources.translations.calls import run_exported, run_in_torch

PRODUCTS: dict[str, Callable[[Tensor], Tensor]] = {
    "one_axis": lambda x: x.prod(1),
    "last": lambda x: x.prod(-1, keepdim=True),
    "first": lambda x: x.prod(0),
    "all": lambda x: x[0, :2].prod(),
    "overflow": torch.prod,
    "truth": lambda x: (x > 2).prod(1),
    "empty": lambda x: x[:, :0].prod(1),
    "real": lambda x: x.prod(1, dtype=torch.float32),
    "number": lambda x: x[0, 0, 0].prod() + x[0, 0, 1].prod(0),
}


@pytest.mark.slow
def test_products_of_whole_numbers_are_those_of_torch() -> None:
    x = np.random.default_rng(0).integers(-99991, 99991, (3, 5, 4)).astype(np.int32)
    got = run_exported(PRODUCTS, [x])
    for name, function in PRODUCTS.items():
        np.testing.assert_allclose(
            got[name], run_in_torch(function, [x]), rtol=1e-6 if name == "real" else 0, err_msg=name
        )
