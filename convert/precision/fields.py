"""What the manifest says of fewer bits. Standard library only, as the manifest."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What one output lost, as shares of its scale: the largest error, and the root mean square."""

    output: str
    scale: float
    largest: float
    typical: float
    agreed: int | None
    """Of `compared` rows of scores, or whole numbers, those that agree; None where it is neither."""
    compared: int
    low: float
    high: float
    """The 95 % interval (Wilson's) of the share that agrees, among samples of this kind."""


@dataclass(frozen=True, slots=True)
class AccuracyRecord:
    """Of so many labelled samples, those that the original and the file get right by this output."""

    output: str
    samples: int
    original: int
    file: int


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A layer in float, and why: the share of the squared error that it took, or what half cannot hold."""

    layer: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundingRecord:
    """How the numbers were rounded, and the gate that the file passed."""

    method: str
    """fp16, dynamic or static."""
    judged_on: str
    """The samples: given, calibration or generated."""
    samples: int
    calibration_samples: int | None
    """None where the method needs none."""
    max_error: float
    min_agreement: float
    max_accuracy_drop: float
    losses: tuple[LossRecord, ...]
    accuracy: AccuracyRecord | None
    """None where the samples had no labels."""
    kept: tuple[KeptRecord, ...]
    places: int
    """Where it could have been rounded: each activation with the layers that read it."""
