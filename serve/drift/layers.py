"""What reaches a model's activations, which no run of it gives out: a second session, on few rows.

It runs in the thread that counts, never for a request, and at most a small share of the time.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from time import perf_counter

from serve.engine.errors import EngineError
from serve.engine.joining import has_rows
from serve.engine.loading import Cancellation
from serve.engine.session import SESSION_ERRORS, Session
from serve.engine.signature import Array, Signature

MOST_ROWS = 4
LARGEST_BYTES = 2**20
"""Of the inputs that are kept for one run."""
SHARE, LOAD_SHARE = 0.005, 0.05
"""Of the time of one core, that its runs take at most, and loading it."""
SECONDS = 0.005  # of a run, until the first has shown it
FAILED_SECONDS = 60.0  # until the next one after one that failed
LARGEST_NUMBERS = 2**20
"""Of one row of all tensors that a run gives out."""

OpenSession = Callable[[Sequence[str]], Session]
"""Loads the model's file again, with these tensors as outputs too."""
FAILURES: tuple[type[Exception], ...] = (*SESSION_ERRORS, EngineError)
log = logging.getLogger("adaptact")


class LayerProbe:
    """Runs a model for what reaches its activations; the session is loaded at the first run."""

    def __init__(
        self,
        label: str,
        names: Sequence[str],
        signature: Signature,
        open_session: OpenSession,
        run_seconds: float,
    ) -> None:
        """`names` are the tensors; a run may last so many seconds."""
        self._label = label
        self._names = tuple(names)
        self._signature = signature
        self._has_rows = has_rows(signature)
        self._open = open_session
        self._run_seconds = run_seconds
        self._session: Session | None = None
        self._groups: deque[list[str]] = deque()
        self._next = 0.0
        self._seconds = SECONDS
        self._failed = not names

    def wants(self) -> bool:
        """Whether it may run again by now."""
        return not self._failed and perf_counter() >= self._next

    def keep(self, inputs: Mapping[str, Array], rows: int) -> Mapping[str, Array] | None:
        """A copy of some rows, or of all where the model takes no other number; None for too large ones."""
        fitting = self._signature.fit_rows(min(rows, MOST_ROWS)) if self._has_rows else 0
        kept = {name: array[:fitting] if fitting else array for name, array in inputs.items()}
        if sum(array.nbytes for array in kept.values()) > LARGEST_BYTES:
            return None
        self._next = perf_counter() + self._seconds / SHARE
        return {name: array.copy() for name, array in kept.items()}

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """What reaches some of the activations, in turn; nothing where that cannot be known."""
        started = perf_counter()
        if not self._groups:
            self._load()
        loaded = perf_counter()
        if self._session is None:
            return {}
        names = self._groups[0]
        self._groups.rotate(-1)
        try:
            with Cancellation().limit_runs(self._run_seconds) as options:
                arrays = self._session.run(inputs, names, options)
        except FAILURES as error:
            log.debug("%s: a run for its activations failed: %s", self._label, error)
            self._next = perf_counter() + FAILED_SECONDS
            return {}
        self._seconds = perf_counter() - loaded
        self._next = max(self._next, loaded + (loaded - started) / LOAD_SHARE, loaded + self._seconds / SHARE)
        return dict(zip(names, arrays, strict=True))

    def _load(self) -> None:
        try:
            self._session = self._open(self._names)
        except FAILURES as error:
            self._failed = True
            log.warning("%s: what reaches its activations is not watched: %s", self._label, error)
        else:
            self._groups.extend(_group_by_size(self._session.signature, self._names))


def _group_by_size(signature: Signature, names: Sequence[str]) -> Iterator[list[str]]:
    """The tensors in groups of at most LARGEST_NUMBERS of one row together; larger and unknown ones alone."""
    shapes = {spec.name: spec.shape[1:] for spec in signature.outputs}
    group: list[str] = []
    left = LARGEST_NUMBERS
    for name in names:
        sizes = [size for size in shapes[name] if isinstance(size, int)]
        numbers = prod(sizes) if len(sizes) == len(shapes[name]) else LARGEST_NUMBERS
        if group and numbers > left:
            yield group
            group, left = [], LARGEST_NUMBERS
        group.append(name)
        left -= numbers
    yield group
