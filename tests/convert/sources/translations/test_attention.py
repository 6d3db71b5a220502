import numpy as np
import pytest
from torch.nn.functional import scaled_dot_product_attention as attend

from convert.model_io.array import Array
from tests.convert.sources.translations.calls import run_exported

CALLS = {
    "truth": lambda q, k, v, seen, bias: attend(q, k, v, seen),
    "bias": lambda q, k, v, seen, bias: attend(q, k, v, bias),
    "whole": lambda q, k, v, seen, bias: attend(q, k, v),
    "causal": lambda q, k, v, seen, bias: attend(q[:, :, :3], k, v, is_causal=True),
    "causal_long": lambda q, k, v, seen, bias: attend(q, k[:, :, :3], v[:, :, :3], is_causal=True),
    "grouped": lambda q, k, v, seen, bias: attend(q, k[:, :2], v[:, :2], seen, enable_gqa=True),
    "three_axes": lambda q, k, v, seen, bias: attend(q[0], k[0], v[0], bias[0], scale=0.3),
    "negative": lambda q, k, v, seen, bias: attend(q, k, v, seen, scale=-0.3),
}


def compute(q: Array, k: Array, v: Array, seen: Array, bias: Array, scale: float | None = None) -> Array:
    """The definition in float64: weights are exponentials over their sum, 0 where no key is let through."""
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + bias
    weights = np.where(seen, np.exp(scores), 0)
    total = weights.sum(-1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total) @ v)


def expect(arrays: list[Array]) -> dict[str, Array]:
    """The result of each of CALLS."""
    q, k, v, seen, bias = (array.astype(np.float64) for array in arrays)
    truth = seen == 1
    numbers, finite = np.where(np.isinf(bias), 0, bias), np.isfinite(bias)
    both = np.ones((5, 5)) == 1
    before = np.tril(np.ones((5, 5))) == 1
    return {
        "truth": compute(q, k, v, truth, 0 * numbers),
        "bias": compute(q, k, v, finite, numbers),
        "whole": compute(q, k, v, both, 0 * numbers),
        "causal": compute(q[:, :, :3], k, v, before[:3], np.zeros(1)),
        "causal_long": compute(q, k[:, :, :3], v[:, :, :3], before[:, :3], np.zeros(1)),
        "grouped": compute(q, k[:, [0, 0, 1, 1]], v[:, [0, 0, 1, 1]], truth, 0 * numbers),
        "three_axes": compute(q[0], k[0], v[0], finite[0], numbers[0], 0.3),
        "negative": compute(q, k, v, truth, 0 * numbers, -0.3),
    }


@pytest.fixture(scope="module")
def arrays() -> list[Array]:
    """Query, key, value [2, 4, 5, 8], and masks with a query that sees nothing, and a sample of these."""
    random = np.random.default_rng(0)
    parts = [random.standard_normal((2, 4, 5, 8)).astype(np.float32) for _ in range(3)]
    seen = random.random((2, 1, 5, 5)) < 0.5
    seen[0, 0, 1] = False
    seen[1] = False
    bias = np.where(seen, random.standard_normal(seen.shape), -np.inf).astype(np.float32)
    return [*parts, seen, bias]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 20, 23])
def test_attention_equals_its_definition(arrays: list[Array], opset: int) -> None:
    got = run_exported(CALLS, arrays, opset)
    for name, expected in expect(arrays).items():
        assert got[name] == pytest.approx(expected, abs=1e-6), name
