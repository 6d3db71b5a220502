"""Joining requests into one run, splitting its outputs, and the trial that shows whether a model allows it.

With `auto`, rows are joined only if the answer to each row is bit-identical whichever rows run with it.
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
Clock: TypeAlias = Callable[[], float]

MAX_ROWS = 8
MAX_SECONDS = 0.5
TRIES = 3  # the shortest counts: a busy machine makes any run longer
# Of the time of the same rows one by one: with less to gain, the first requests would wait for nothing.
WORTHWHILE_RATIO = 0.75
# Up to here a joint run saves at least what the server does for each run, which is worth it in a long queue.
HARMLESS_RATIO = 1.05
# There a run takes no longer than this, since other models' requests wait for its end,
FEW_SECONDS = 0.015
# and most of what waits is left to the other threads.
FEW_SHARE = 4
# Of the largest value: kernels for one row and for many add up in another order.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class JoiningTrial:
    """The comparison of rows that ran together with the same rows run one by one."""

    is_independent: bool
    """Whether the answers are the same but for rounding."""
    is_exact: bool
    """Whether they are the same bit for bit."""
    seconds: float
    single_seconds: float

    def allows(self, batching: Batching) -> bool:
        """Whether requests may be joined; raises `ConfigError` for `on` if rows affect each other."""
        if batching == "on" and not self.is_independent:
            raise ConfigError(
                "`batching` is `on`, but a row's answer was seen to change with the rows beside it; "
                "choose `auto` or `off`"
            )
        if batching == "auto":
            return self.is_exact and self.seconds < HARMLESS_RATIO * self.single_seconds
        return batching == "on"

    @property
    def pays(self) -> bool:
        """Whether the joint run is shorter by so much that all that wait should share it."""
        return self.seconds < WORTHWHILE_RATIO * self.single_seconds


def has_rows(signature: Signature) -> bool:
    """Whether the first size of every input and output varies: usually the batch."""
    return bool(signature.inputs) and all(
        spec.shape and not isinstance(spec.shape[0], int) for spec in signature.inputs + signature.outputs
    )


def count_rows(inputs: Mapping[str, Array]) -> int:
    """The size of the first dimension of the first input: usually the batch."""
    first = next(iter(inputs.values()), None)
    return first.shape[0] if first is not None and first.ndim else 1


def try_joining(
    run: Run, signature: Signature, run_seconds: float, max_rows: int, clock: Clock = perf_counter
) -> JoiningTrial:
    """The trial on rows of random numbers, timed with the clock; errors of the run propagate."""
    outputs = signature.choose_outputs(None)
    affordable = max(2, int(MAX_SECONDS / max(run_seconds, 1e-9)))
    rows = min(max_rows, MAX_ROWS, affordable)
    generator = np.random.default_rng(0)
    inputs = {spec.name: _make_rows(spec, rows, generator) for spec in signature.inputs}

    def time_run(order: Sequence[int]) -> tuple[float, list[Array]]:
        taken = {name: array[list(order)] for name, array in inputs.items()}
        start = clock()
        arrays = run(taken, outputs)
        return clock() - start, arrays

    singles = [time_run([row]) for row in range(rows)]
    together = [time_run(range(rows)) for _ in range(TRIES)]
    is_independent = is_exact = True
    # Kernels change with the number of rows, so the fewest and the most that may come are tried too.
    for size in {2, min(3, max_rows), rows, min(max_rows, affordable)}:
        order = [row % rows for row in range(size)]
        for position, answer in enumerate(time_run(order)[1]):
            expected = [singles[row][1][position] for row in order]
            is_independent = is_independent and _are_close(answer, expected)
            is_exact = is_exact and is_independent and _are_equal(answer, np.concatenate(expected))
    seconds, single_seconds = (min(seconds for seconds, _ in runs) for runs in (together, singles))
    return JoiningTrial(is_independent, is_exact, seconds, rows * single_seconds)


def count_few(waiting: int, seconds: float) -> int:
    """How many of so many waiting requests share the next run where that hardly pays; each runs so long."""
    affordable = int(FEW_SECONDS / seconds) if seconds else 1
    return max(1, min(waiting // FEW_SHARE, affordable))


def join_requests(requests: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The rows of all the requests, one after the other."""
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def split_rows(arrays: Sequence[Array], rows: Sequence[int]) -> list[list[Array]] | None:
    """Each request's rows of the outputs; None unless the outputs have one row per input row."""
    ends = np.cumsum(rows)
    if any(not array.ndim or array.shape[0] != ends[-1] for array in arrays):
        return None
    return [
        [array[end - count : end] for array in arrays] for count, end in zip(rows, ends.tolist(), strict=True)
    ]


def _are_close(answer: Array, singles: Sequence[Array]) -> bool:
    if any(array.ndim == 0 or array.shape[0] != 1 for array in singles):
        return False
    expected = np.concatenate(singles)
    if answer.shape != expected.shape or answer.dtype != expected.dtype:
        return False
    if not np.issubdtype(expected.dtype, np.floating):
        return _are_equal(answer, expected)
    finite = expected[np.isfinite(expected)].astype(np.float64)
    scale = float(np.abs(finite).max(initial=0.0))
    return bool(np.allclose(answer, expected, rtol=0.0, atol=ROUNDING * scale, equal_nan=True))


def _are_equal(answer: Array, expected: Array) -> bool:
    """Whether the arrays are equal bit for bit; texts are equal as texts, and any NaN is NaN."""
    if expected.dtype == np.object_:
        return bool(np.array_equal(answer, expected))
    if np.issubdtype(expected.dtype, np.floating):
        answer, expected = (np.where(np.isnan(array), np.nan, array) for array in (answer, expected))
    return answer.tobytes() == expected.tobytes()


def _make_rows(spec: TensorSpec, rows: int, generator: np.random.Generator) -> Array:
    """Rows of values that most models take: small numbers, ones and zeros, empty strings."""
    zero = spec.zeros()
    shape = (rows, *zero.shape[1:])
    if np.issubdtype(zero.dtype, np.floating):
        return generator.standard_normal(shape).astype(zero.dtype)
    if np.issubdtype(zero.dtype, np.integer) or zero.dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(zero.dtype)
    return np.repeat(zero, rows, axis=0)
