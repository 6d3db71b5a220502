"""Whether requests for a model may be joined into one run: decided by what the model was seen to do.

Rows are joined only where each row's answer is the same bit for bit, whoever else asks at that moment, unless
the operator asks for more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import numpy as np

from serve.engine.config import Batching
from serve.engine.errors import ConfigError
from serve.engine.signature import Array, Signature, TensorSpec

Run: TypeAlias = Callable[[Mapping[str, Array], Sequence[str]], list[Array]]

MOST_ROWS = 8
MOST_SECONDS = 0.5
TRIES = 3  # the shortest counts: a busy machine makes any run longer
# Of the time of the same rows one by one: with less to gain, those that come first would wait for nothing.
PAYS = 0.75
# Of the largest value: kernels for one row and for many add up in another order.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of rows that ran together, against the same rows one by one."""

    independent: bool
    """Whether the answers are the same but for rounding."""
    exact: bool
    """Whether they are the same bit for bit."""
    seconds: float
    single_seconds: float

    def allows(self, batching: Batching) -> bool:
        """Whether requests are to be joined; raises `ConfigError` for `on` where rows change each other."""
        if batching == "on" and not self.independent:
            raise ConfigError(
                "`batching` is `on`, but a row's answer was seen to change with the rows beside it; "
                "choose `auto` or `off`"
            )
        if batching == "auto":
            return self.exact and self.seconds < PAYS * self.single_seconds
        return batching == "on"


def has_rows(signature: Signature) -> bool:
    """Whether the first size of every input and output varies: by custom the batch."""
    return bool(signature.inputs) and all(
        spec.shape and not isinstance(spec.shape[0], int) for spec in signature.inputs + signature.outputs
    )


def try_joining(run: Run, signature: Signature, run_seconds: float, most_rows: int) -> Joined:
    """What joining made of rows of random numbers; errors of the run are passed on."""
    outputs = signature.choose_outputs(None)
    affordable = max(2, int(MOST_SECONDS / max(run_seconds, 1e-9)))
    rows = min(most_rows, MOST_ROWS, affordable)
    generator = np.random.default_rng(0)
    inputs = {spec.name: _random(spec, rows, generator) for spec in signature.inputs}

    def timed(order: Sequence[int]) -> tuple[float, list[Array]]:
        taken = {name: array[list(order)] for name, array in inputs.items()}
        start = perf_counter()
        arrays = run(taken, outputs)
        return perf_counter() - start, arrays

    singles = [timed([row]) for row in range(rows)]
    together = [timed(range(rows)) for _ in range(TRIES)]
    independent = exact = True
    # Kernels change with the number of rows, so the fewest and the most that may come are seen too.
    for size in {2, min(3, most_rows), rows, min(most_rows, affordable)}:
        order = [row % rows for row in range(size)]
        for position, answer in enumerate(timed(order)[1]):
            expected = [singles[row][1][position] for row in order]
            independent = independent and _agree(answer, expected)
            exact = exact and independent and _same(answer, np.concatenate(expected))
    seconds, single_seconds = (min(each for each, _ in runs) for runs in (together, singles))
    return Joined(independent, exact, seconds, rows * single_seconds)


def rows_of(inputs: Mapping[str, Array]) -> int:
    """The size of the first dimension of the first input: by custom the batch."""
    first = next(iter(inputs.values()), None)
    return first.shape[0] if first is not None and first.ndim else 1


def join(requests: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The rows of all the requests, one after the other."""
    return {name: np.concatenate([each[name] for each in requests]) for name in requests[0]}


def part(arrays: Sequence[Array], rows: Sequence[int]) -> list[list[Array]] | None:
    """Each request's own rows of the answers; None where the answers do not have one row for each row."""
    ends = np.cumsum(rows)
    if any(not array.ndim or array.shape[0] != ends[-1] for array in arrays):
        return None
    return [
        [array[end - count : end] for array in arrays] for count, end in zip(rows, ends.tolist(), strict=True)
    ]


def _agree(answer: Array, expected: Sequence[Array]) -> bool:
    if any(each.ndim == 0 or each.shape[0] != 1 for each in expected):
        return False
    wanted = np.concatenate(expected)
    if answer.shape != wanted.shape or answer.dtype != wanted.dtype:
        return False
    if not np.issubdtype(wanted.dtype, np.floating):
        return _same(answer, wanted)
    known = wanted[np.isfinite(wanted)].astype(np.float64)
    scale = float(np.abs(known).max(initial=0.0))
    return bool(np.allclose(answer, wanted, rtol=0.0, atol=ROUNDING * scale, equal_nan=True))


def _same(answer: Array, wanted: Array) -> bool:
    """Whether the arrays are equal bit for bit; texts are equal as texts, and any NaN is NaN."""
    if wanted.dtype == np.object_:
        return bool(np.array_equal(answer, wanted))
    if np.issubdtype(wanted.dtype, np.floating):
        answer, wanted = (np.where(np.isnan(each), np.nan, each) for each in (answer, wanted))
    return answer.tobytes() == wanted.tobytes()


def _random(spec: TensorSpec, rows: int, generator: np.random.Generator) -> Array:
    """Rows of values that most models take: small numbers, ones and zeros, empty strings."""
    one = spec.zeros()
    shape = (rows, *one.shape[1:])
    if np.issubdtype(one.dtype, np.floating):
        return generator.standard_normal(shape).astype(one.dtype)
    if np.issubdtype(one.dtype, np.integer) or one.dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(one.dtype)
    return np.repeat(one, rows, axis=0)
