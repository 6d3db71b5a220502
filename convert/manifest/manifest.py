"""The evidence that a converted model carries: what it was made from, what was done, and how exact it is.

JSON in the model's `metadata_props`, under KEY. Standard library only: a server has neither torch nor onnx.
"""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from convert.manifest.decode import ManifestError, decode
from convert.manifest.fields import RoundingRecord, TuningRecord

KEY = "adaptact.manifest"
FORMAT = "adaptact-manifest/1.2"
"""Every 1.x is read: what an older one lacks has a default, and what a newer one adds is left out."""
LARGEST = 32 * 2**20  # characters


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
class StartRecord:
    """Where an activation started; `curve[i]` is the curve of the learned one's `channels[i]` then."""

    origin: str
    values: dict[str, tuple[float, ...]]
    curve: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ReachRecord:
    """What reached an activation: `shares` of all inputs in equal bins from low to high."""

    inputs: int
    low: float
    high: float
    shares: tuple[float, ...]
    below_zero: float
    """The share of the inputs below 0."""


@dataclass(frozen=True, slots=True)
class ActivationRecord:
    """One learned activation; `values` has one number for the layer, or one a channel, by parameter."""

    layer: str
    kind: str
    formula: str
    options: dict[str, Any]
    values: dict[str, tuple[float, ...]]
    curve: CurveRecord
    replaced: str = ""
    """The plain activation that stood there before."""
    words: str = ""
    """What the learned shape does."""
    start: StartRecord | None = None
    reach: ReachRecord | None = None


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
class DroppedRecord:
    """A rewrite rule that was not used, since the file would have failed parity with it, and by how much."""

    rule: str
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
    non_finite_gained: int = 0
    """Outputs that are NaN or Inf in the file alone."""
    used: dict[str, float] = field(default_factory=dict)
    """By output, the share of the allowance that the file's error takes."""


@dataclass(frozen=True, slots=True)
class AgreementRecord:
    """How often the largest score of a sample stands in the same place as in the original in float64."""

    samples: int
    agreed: int
    original_agreed: int
    """The original float32 model's own."""
    low: float
    high: float
    """The 95 % interval (Wilson's) of the file's share among samples of this kind."""


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
    original_quantiles: dict[str, float] = field(default_factory=dict)
    """Of the original float32 model's."""
    typical_scale: float = 0.0
    """The largest magnitude on typical samples; 0 where it was not written down."""
    ratio: float | None = None
    """The file's error over the original float32 model's, root mean square on typical samples."""
    top1: AgreementRecord | None = None
    """None where the output is not rows of scores."""

    def over_scale(self) -> dict[str, float]:
        """The quantiles of the file's error as shares of the typical scale; empty where that is not known."""
        if not self.typical_scale:
            return {}
        return {share: error / self.typical_scale for share, error in self.quantiles.items()}


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """The comparison that the file passed."""

    criterion: str
    outputs: tuple[OutputRecord, ...]
    sets: tuple[SetRecord, ...]


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The file beside the ONNX file that holds its larger weights."""

    name: str
    bytes: int
    sha256: str


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
    source_kind: str = ""
    """What that file was: checkpoint, state_dict, exported program, TorchScript, pickled module or ONNX."""
    reference: str = "float64"
    """The precision of the model that parity was judged against."""
    data: DataRecord | None = None
    """None where the ONNX file holds all its weights."""
    dropped: tuple[DroppedRecord, ...] = ()
    """The rewrite rules that the file was made without."""
    provider: str = "cpu"
    """Of ONNX Runtime, for which the forms were chosen and on which parity was judged."""
    tuning: TuningRecord | None = None
    """None where a table of the provider chose them."""
    rounding: RoundingRecord | None = None
    """None in float32; else parity is of the graph before it was rounded, and this is the file's own gate."""

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
        _require_readable(content.get("format") if isinstance(content, dict) else None)
        manifest: Self = decode(cls, content, "manifest")
        return manifest


def _require_readable(found: object) -> None:
    """ManifestError unless the format is one of ours, of the major version that this reader knows."""
    kind, _, ours = FORMAT.partition("/")
    written = re.fullmatch(rf"{kind}/(\d{{1,6}})(\.\d{{1,6}})?", found) if isinstance(found, str) else None
    if written is None:
        raise ManifestError(f"the manifest's format is `{str(found)[:40]}`, expected `{FORMAT}`")
    major = int(ours.partition(".")[0])
    if int(written[1]) != major:
        raise ManifestError(
            f"the manifest's format is `{found}`, and this version of adaptact reads `{kind}/{major}.x`: "
            "read the file with the version that wrote it, or a newer one"
        )


def _refuse_constant(name: str) -> float:
    raise ManifestError(f"the manifest holds `{name}`, which is not JSON")
