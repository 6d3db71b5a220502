"""The evidence in a converted model's file: its source, the conversion, and its parity.

JSON under MANIFEST_KEY in the model's `metadata_props`. Standard library only, since a server reads it.
"""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from adaptact.report.notebook import show_table
from convert.manifest.baseline import BaselineRecord
from convert.manifest.decode import ManifestError, decode
from convert.manifest.entries import LARGEST_MANIFEST
from convert.manifest.providers import PlacementRecord, ProviderChoiceRecord
from convert.manifest.records import CoverageRecord, RoundingRecord, Strength, TuningRecord
from convert.manifest.size_bounds import SizeBounds

FORMAT = "adaptact-manifest/1.6"
"""Every 1.x is read: fields missing from an older one have defaults, unknown ones are ignored."""


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """An input or output. A size is a number, or the name of a free size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    below: int | None = None
    """The whole numbers of an input were said or found to be 0 to one less than this; None for no bound."""


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
    """The inputs of an activation: their `shares` in equal bins from low to high.

    Beyond these two lie at most 0.05 % of the inputs each, and none beyond `least` and `most`.
    """

    inputs: int
    low: float
    high: float
    shares: tuple[float, ...]
    below_zero: float
    """The share of the inputs below 0."""
    least: float | None = None
    """The lowest input; None, as `most`, in files from before 1.5."""
    most: float | None = None


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
    """The plain activation that it replaced."""
    words: str = ""
    """The learned shape, in words."""
    start: StartRecord | None = None
    reach: ReachRecord | None = None
    operators: tuple[str, ...] = ()
    """What computes it in the file, before any rounding; none in files from before 1.5."""


@dataclass(frozen=True, slots=True)
class FiredRecord:
    """How often a rewrite rule fired."""

    rule: str
    times: int


@dataclass(frozen=True, slots=True)
class DeclinedRecord:
    """A rewrite rule that did not change a layer, and why."""

    rule: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """A rewrite rule that was left out, since the file failed parity with it, and by how much."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetRecord:
    """One set of samples. `overflowed` outputs were not finite in the original float32 model either."""

    name: str
    samples: int
    overflowed: int
    non_finite: int
    """Outputs that are NaN, Inf, or the largest number of a type in the reference."""
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
    """The parity comparison that the file passed."""

    criterion: str
    outputs: tuple[OutputRecord, ...]
    sets: tuple[SetRecord, ...]
    coverage: CoverageRecord | None = None
    """None where it was not examined."""

    @property
    def strength(self) -> Strength:
        """Weak where there are reasons for it; unknown where the samples were not examined for them."""
        if self.coverage is None:
            return "unknown"
        return "weak" if self.coverage.reasons else "strong"


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The file beside the ONNX file that holds its larger weights."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is recorded of a converted model."""

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
    sizes: tuple[SizeBounds, ...] = ()
    """The bounds of free sizes; a size without any may be anything."""
    tried_sizes: tuple[dict[str, int], ...] = ()
    """Sizes at which the file might be wrong, and that were compared where the model takes them."""
    source_kind: str = ""
    """Its kind: checkpoint, state_dict, safetensors, exported program, TorchScript, pickled module, ONNX."""
    source_notes: tuple[str, ...] = ()
    """What was taken off the source as it was loaded, or left in the file as it is, in words."""
    reference: str = "float64"
    """The precision of the model that parity was judged against."""
    data: DataRecord | None = None
    """None where the ONNX file holds all its weights."""
    dropped: tuple[DroppedRecord, ...] = ()
    """The rewrite rules that the file was made without."""
    provider: str = "cpu"
    """The provider of ONNX Runtime that the forms were chosen for and parity was judged on."""
    choice: ProviderChoiceRecord | None = None
    """How the provider was chosen among several; None where the user named it."""
    placement: PlacementRecord | None = None
    """What the provider does not compute; None where that is the CPU provider, and in older files."""
    tuning: TuningRecord | None = None
    """None where the provider's table chose the forms."""
    rounding: RoundingRecord | None = None
    """None in float32; else parity is that of the graph before rounding, and this is the file's own gate."""
    baseline: BaselineRecord | None = None
    """What its tensors held on real data; None where the user gave none, or too few."""

    def to_json(self) -> str:
        """The manifest as compact JSON, the same for the same manifest."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"), sort_keys=True, allow_nan=False)

    def _repr_html_(self) -> str:
        """What notebooks show: what it is a manifest of, and its activations in words."""
        rows = [
            ("source, SHA-256", self.source_digest),
            ("parity", self.parity.strength),
            ("precision, opset, provider", f"{self.precision}, {self.opset}, {self.provider}"),
            ("rules fired", ", ".join(f"{record.rule} × {record.times}" for record in self.fired)),
            *((f"layer {record.layer}: {record.kind}", record.words) for record in self.activations),
        ]
        return show_table(self.format, ("what", "value"), rows)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest in the text. Raises ManifestError where there is none, or one of another format."""
        if len(text) > LARGEST_MANIFEST:
            raise ManifestError(
                f"the manifest has {len(text)} characters, expected at most {LARGEST_MANIFEST}"
            )
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from error
        _require_readable(content.get("format") if isinstance(content, dict) else None)
        try:
            manifest: Self = decode(cls, content, "manifest")
        except ManifestError:
            raise
        except ValueError as error:
            raise ManifestError(f"the manifest's bounds of sizes are none: {error}") from error
        return manifest


def _require_readable(format_: object) -> None:
    """ManifestError unless the format is FORMAT or one of the same major version."""
    kind, _, version = FORMAT.partition("/")
    pattern = rf"{kind}/(\d{{1,6}})(\.\d{{1,6}})?"
    match = re.fullmatch(pattern, format_) if isinstance(format_, str) else None
    if match is None:
        raise ManifestError(f"the manifest's format is `{str(format_)[:40]}`, expected `{FORMAT}`")
    if int(match[1]) != (major := int(version.partition(".")[0])):
        raise ManifestError(
            f"the manifest's format is `{format_}`, and this version of adaptact reads `{kind}/{major}.x`: "
            "read the file with the version that wrote it, or a newer one"
        )


def _refuse_constant(name: str) -> float:
    raise ManifestError(f"the manifest holds `{name}`, which is not JSON")
