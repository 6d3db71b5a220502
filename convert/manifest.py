"""The evidence that a converted model carries: what it was made from, what was done, and how exact it is.

JSON in the model's `metadata_props`, under KEY. Standard library only: a server has neither torch nor onnx.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any, Self, TypeVar

KEY = "adaptact.manifest"
FORMAT = "adaptact-manifest/1"
LARGEST = 32 * 2**20  # characters
MOST_ITEMS = 1_000_000  # of one list
DEEPEST = 16

_T = TypeVar("_T")


class ManifestError(ValueError):
    """The text is not a manifest that this version reads."""


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """An input or output. A size is a number, or the name of a free size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class CurveRecord:
    """Samples of a learned curve: `values[i]` are the curve of channel `channels[i]` at `points`."""

    points: tuple[float, ...]
    channels: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ActivationRecord:
    """One learned activation; `values` has one number for the layer, or one a channel, by parameter."""

    layer: str
    kind: str
    formula: str
    options: dict[str, Any]
    values: dict[str, tuple[float, ...]]
    curve: CurveRecord


@dataclass(frozen=True, slots=True)
class FiredRecord:
    """How often a rewrite rule fired."""

    rule: str
    times: int


@dataclass(frozen=True, slots=True)
class DeclinedRecord:
    """A rewrite rule that left a layer as it was, and why."""

    rule: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetRecord:
    """One set of samples. `overflowed` outputs were not finite in the original float32 model either."""

    name: str
    samples: int
    overflowed: int
    non_finite: int
    """Outputs that are NaN or Inf in the reference."""
    non_finite_lost: int
    """Those of them that the file gives another value than the original float32 model."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One output against the original in float64, on the set where the file came closest to its allowance."""

    name: str
    scale: float
    """The largest typical magnitude of the output."""
    original_error: float
    file_error: float
    allowed: float
    tolerance: float | None
    """What the user allowed beyond the criterion, as a share of the scale; None for nothing."""
    worst_set: str
    quantiles: dict[str, float]
    """Of the file's absolute errors on typical samples."""


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """The comparison that the file passed."""

    criterion: str
    outputs: tuple[OutputRecord, ...]
    sets: tuple[SetRecord, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a converted model says of itself."""

    format: str
    source_digest: str
    """SHA-256 of the file that was converted, in hexadecimal."""
    versions: dict[str, str]
    opset: int
    precision: str
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    classes: tuple[str, ...] | None
    preprocessing: dict[str, Any] | None
    activations: tuple[ActivationRecord, ...]
    fired: tuple[FiredRecord, ...]
    declined: tuple[DeclinedRecord, ...]
    parity: ParityRecord

    def to_json(self) -> str:
        """The manifest as compact JSON, the same for the same manifest."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest that the text holds. Raises ManifestError where it is none, or of another format."""
        if len(text) > LARGEST:
            raise ManifestError(f"the manifest has {len(text)} characters, expected at most {LARGEST}")
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise ManifestError(f"the manifest's format is `{str(found)[:40]}`, expected `{FORMAT}`")
        manifest: Self = _decode(cls, content, "manifest")
        return manifest


def _refuse_constant(name: str) -> float:
    raise ManifestError(f"the manifest holds `{name}`, which is not JSON")


def _decode(kind: Any, content: Any, where: str) -> Any:  # Any: the type is read from the fields' annotations
    """`content` as a value of the annotated type; ManifestError says where it is not."""
    if kind is Any:
        return _plain(content, where, 0)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, content, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _decode_either(arguments, content, where)
    if origin is tuple and isinstance(content, list) and len(content) <= MOST_ITEMS:
        return tuple(_decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(content))
    if origin is dict and isinstance(content, dict) and len(content) <= MOST_ITEMS:
        return {key: _decode(arguments[1], item, f"{where}.{key[:40]}") for key, item in content.items()}
    if origin is None and _is_plain(kind, content):
        return float(content) if kind is float else content
    raise ManifestError(f"`{where}` is `{type(content).__name__}`, expected `{kind}`")


def _decode_fields(kind: Any, content: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(content, dict) or set(content) != set(hints):
        keys = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ManifestError(f"`{where}` has {str(keys)[:200]}, expected {sorted(hints)}")
    return kind(**{name: _decode(hint, content[name], f"{where}.{name}") for name, hint in hints.items()})


def _decode_either(kinds: tuple[Any, ...], content: Any, where: str) -> Any:
    if content is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    if len(others) == 1:
        return _decode(others[0], content, where)
    if any(_is_plain(kind, content) for kind in others):
        return content
    raise ManifestError(f"`{where}` is `{type(content).__name__}`, expected one of {others}")


def _is_plain(kind: Any, content: Any) -> bool:
    if kind is float:
        return isinstance(content, int | float) and not isinstance(content, bool) and abs(content) < 1e300
    return isinstance(content, kind) and (kind is bool or not isinstance(content, bool))


def _plain(content: Any, where: str, depth: int) -> Any:
    """JSON of any shape, no deeper than DEEPEST."""
    if depth > DEEPEST:
        raise ManifestError(f"`{where}` is nested deeper than {DEEPEST}")
    if isinstance(content, list):
        return [_plain(item, where, depth + 1) for item in content]
    if isinstance(content, dict):
        return {key: _plain(item, where, depth + 1) for key, item in content.items()}
    return content
