"""torchlib, onnxscript's library of translations, which torch reads again for every export.

torch asks each of its 500 traced functions for its domain. onnxscript parses the function's source to answer,
though it has the domain at hand: a third of the time that the export of a small model takes.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from onnxscript import TracedOnnxFunction


class _UnparsedFunction:
    """A traced function's domain; anything else that is asked of it parses the source."""

    def __init__(self, function: Any, parsed: property) -> None:
        self.domain: str = function.opset.domain
        self._function, self._parsed = function, parsed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parsed.__get__(self._function), name)


@contextlib.contextmanager
def skip_parsing() -> Iterator[None]:
    """Within the block, traced functions name their domain without their source being parsed."""
    kind: Any = TracedOnnxFunction
    parsed: property = kind.function_ir
    kind.function_ir = property(lambda function: _UnparsedFunction(function, parsed))
    try:
        yield
    finally:
        kind.function_ir = parsed
