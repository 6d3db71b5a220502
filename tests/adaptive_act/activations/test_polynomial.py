import math

import numpy as np
import pytest
import torch

from adaptive_act import HermitePolynomial


def test_hermite_keeps_the_variance_forwards_and_backwards() -> None:
    points, weights = np.polynomial.hermite_e.hermegauss(20)
    z = torch.from_numpy(points).requires_grad_()
    y = HermitePolynomial().double()(z)
    (slope,) = torch.autograd.grad(y.sum(), z)
    normal = torch.from_numpy(weights) / math.sqrt(2 * math.pi)
    assert float((normal * y.detach().square()).sum()) == pytest.approx(1, rel=1e-6)
    assert float((normal * slope.square()).sum()) == pytest.approx(1, rel=1e-6)
