"""JSON decoded as frozen dataclasses. Standard library only."""

import dataclasses
import math
import types
import typing
from dataclasses import MISSING
from typing import Any

MOST_ITEMS = 1_000_000  # of one list
DEEPEST = 16


class ManifestError(ValueError):
    """The text is no manifest that this version reads."""


def decode(kind: Any, content: Any, where: str) -> Any:  # Any: a type annotation
    """`content` as a value of the annotated type; ManifestError says where it is not."""
    if kind is Any:
        return _decode_json(content, where, 0)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, content, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _decode_either(arguments, content, where)
    if origin is tuple and isinstance(content, list) and len(content) <= MOST_ITEMS:
        return tuple(decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(content))
    if origin is dict and isinstance(content, dict) and len(content) <= MOST_ITEMS:
        return {key: decode(arguments[1], item, f"{where}.{key[:40]}") for key, item in content.items()}
    if origin is None and _is_plain(kind, content):
        return float(content) if kind is float else content
    raise ManifestError(f"`{where}` is `{type(content).__name__}`, expected `{kind}`")


def _decode_fields(kind: Any, content: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    needed = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }
    if not isinstance(content, dict) or not needed <= set(content):
        keys = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ManifestError(f"`{where}` has {str(keys)[:200]}, expected {sorted(needed)}")
    return kind(
        **{
            name: decode(hint, content[name], f"{where}.{name}")
            for name, hint in hints.items()
            if name in content
        }
    )


def _decode_either(kinds: tuple[Any, ...], content: Any, where: str) -> Any:
    if content is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    if len(others) == 1:
        return decode(others[0], content, where)
    if any(_is_plain(kind, content) for kind in others):
        return content
    raise ManifestError(f"`{where}` is `{type(content).__name__}`, expected one of {others}")


def _is_plain(kind: Any, content: Any) -> bool:
    if kind is float:
        return isinstance(content, int | float) and not isinstance(content, bool) and abs(content) < 1e300
    return isinstance(content, kind) and (kind is bool or not isinstance(content, bool))


def _decode_json(content: Any, where: str, depth: int) -> Any:
    """JSON of any shape, no deeper than DEEPEST, and finite: Python reads `1e999` as infinity."""
    if depth > DEEPEST:
        raise ManifestError(f"`{where}` is nested deeper than {DEEPEST}")
    if isinstance(content, float) and not math.isfinite(content):
        raise ManifestError(f"`{where}` holds `{content}`, expected a finite number")
    if isinstance(content, list):
        return [_decode_json(item, where, depth + 1) for item in content]
    if isinstance(content, dict):
        return {key: _decode_json(item, where, depth + 1) for key, item in content.items()}
    return content
