"""The baseline of a file that holds none: the first rows that the server meets, kept in its state folder.

Whichever worker has enough rows first writes it, and the others read it, so that all compare alike.
"""

import os
import secrets
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from convert.manifest.baseline import LEAST_ROWS
from serve.drift.baseline import MOST_COLUMNS, Baseline, BaselineError, read_baseline
from serve.drift.making import make_baseline
from serve.drift.options import DriftOptions
from serve.drift.plan import MOST_ROWS, Drawn, Key, choose_rows, draw_tensor
from serve.drift.watcher import BURST, MOST_WAITING
from serve.engine.joining import count_rows
from serve.engine.manifest import Json
from serve.engine.model import ServedModel
from serve.engine.sampling import Sampler
from serve.engine.signature import Array, Signature

LARGEST_FILE = 8 * 2**20
LARGEST_KEPT = 64 * 2**20
"""Bytes of values from which on the rows that there are have to do."""
_ROW, _IMAGE = 2, 4  # axes


class _Waiting(NamedTuple):
    rows: int
    drawn: Drawn


class FirstRows:
    """Keeps values of the first rows of a version; they are taken on one thread and counted on another."""

    def __init__(self, model: ServedModel, path: Path, options: DriftOptions) -> None:
        """The baseline is stored at the path."""
        self._signature: Signature = model.signature
        self._own_outputs = model.own_outputs
        self._names = dict(
            zip([spec.name for spec in model.signature.outputs], model.own_outputs, strict=True)
        )
        self._path = path
        self._wanted = max(options.first_rows, LEAST_ROWS)
        self._sampler = Sampler(options.requests_per_second, BURST * options.requests_per_second)
        self._random = np.random.default_rng()
        self._waiting: deque[_Waiting] = deque()
        self._pieces: dict[Key, list[Array]] = {}
        self._rows = self._bytes = 0
        self._finding = threading.Lock()
        self.choose = self._sampler.choose

    def take(self, inputs: Mapping[str, Array], names: Sequence[str], outputs: Sequence[Array]) -> None:
        """Keep some values of the run, if there is room."""
        rows = count_rows(inputs)
        if not rows or len(self._waiting) >= MOST_WAITING or self._rows >= self._wanted:
            return
        named: dict[Key, Array] = {("input", name): array for name, array in inputs.items()}
        named |= {("output", self._names[name]): array for name, array in zip(names, outputs, strict=True)}
        chosen = choose_rows(rows, self._random)
        self._waiting.append(
            _Waiting(
                min(rows, MOST_ROWS),
                {
                    key: self._draw(array, rows, chosen)
                    for key, array in named.items()
                    if array.dtype.kind != "V"  # bfloat16, for which numpy has no numbers
                },
            )
        )

    def renew(self, seconds: float) -> None:
        """Choose the runs of the next so many seconds by how many there were."""
        self._sampler.renew(seconds)

    def describe(self) -> str:
        """How far it is, in words."""
        return f"no baseline yet: one worker has met {self._rows} of the {self._wanted} first rows"

    def find(self) -> Baseline | None:
        """The baseline, once this or another process has met enough rows.

        Raises `BaselineError` where it is none, and `OSError` where it cannot be stored.
        """
        with self._finding:
            stored = self._read()
            if stored is not None:
                return stored
            self._gather()
            if self._rows < self._wanted and self._bytes < LARGEST_KEPT:
                return None
            made = make_baseline(self._rows, self._pieces)
            self._parse(made)  # else what is none, such as NaN of a sensor that is not connected, would stay
            self._store(orjson.dumps(made))
            return self._read()

    def _gather(self) -> None:
        for kept in [self._waiting.popleft() for _ in range(len(self._waiting))]:
            self._rows += kept.rows
            for key, values in kept.drawn.items():
                self._bytes += values.nbytes
                self._pieces.setdefault(key, []).append(values)

    def _store(self, content: bytes) -> None:
        """Write the file whole, unless another process has."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # No process's number: servers in containers that share the folder may have the same ones.
        own = self._path.with_suffix(f".{secrets.token_hex(8)}")
        try:
            own.write_bytes(content)
            os.link(own, self._path)
        except FileExistsError:
            pass
        finally:
            own.unlink(missing_ok=True)

    def _read(self) -> Baseline | None:
        try:
            with self._path.open("rb") as stream:
                content = orjson.loads(stream.read(LARGEST_FILE))
        except FileNotFoundError:
            return None
        except orjson.JSONDecodeError as error:
            raise BaselineError(f"`{self._path}` is not JSON; remove it to begin anew") from error
        return self._parse(content)

    def _parse(self, content: Json) -> Baseline:
        return read_baseline(content, self._signature, self._own_outputs)

    def _draw(self, array: Array, rows: int, chosen: Array) -> Array:
        has_columns = array.ndim in (_ROW, _IMAGE) and 1 < array.shape[1] <= MOST_COLUMNS
        return draw_tensor(array, array.shape[1] if has_columns else 1, rows, chosen, self._random)
