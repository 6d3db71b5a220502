"""LSTM and GRU, for which torch registers loops while it exports, and takes them back afterwards.

The dispatcher remembers what it found: without more, only the first model of a program could be written with
a free length, and the loops would also run wherever operators are watched.
"""

import contextlib
from collections.abc import Iterator

import torch

_OPERATORS = (torch.ops.aten.lstm.input, torch.ops.aten.gru.input)


@contextlib.contextmanager
def find_kernels_anew() -> Iterator[None]:
    """The dispatcher forgets what it remembers of recurrent layers, before the block and after it."""
    _forget()
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    for operator in _OPERATORS:
        operator._dispatch_cache.clear()
