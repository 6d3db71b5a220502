"""A study's results as an auditor needs them, read from its JSON."""

from dataclasses import dataclass
from pathlib import Path

from convert.dossier.documents import read_document

FORMAT = "adaptact-study/2"
RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class DataSummary:
    """The data of a study."""

    name: str
    digest: str
    task: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class ArchitectureSummary:
    """The network of a study."""

    name: str


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """How the networks of a study were trained."""

    epochs: int
    batch: int
    optimizer: str
    schedule: str
    weight_decay: float


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a study compared."""

    architecture: ArchitectureSummary
    baseline: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    training: TrainingSummary


@dataclass(frozen=True, slots=True)
class MeanSummary:
    """A mean with its 95 % interval; None for what is not finite."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ComparisonSummary:
    """A variant beside the baseline."""

    difference: MeanSummary
    p: float
    verdict: str


@dataclass(frozen=True, slots=True)
class OutcomeSummary:
    """The scores of one variant over the seeds."""

    variant: str
    score: MeanSummary
    diverged: int
    against_baseline: ComparisonSummary | None = None


@dataclass(frozen=True, slots=True)
class StudySummary:
    """What a dossier shows of a study."""

    format: str
    data: DataSummary
    plan: PlanSummary
    outcomes: tuple[OutcomeSummary, ...]
    versions: dict[str, str]


def read_study(path: Path) -> StudySummary:
    """The results of a study: its folder, or the JSON file in it. Raises UsageError for anything else."""
    return read_document(path / RESULTS if path.is_dir() else path, StudySummary, FORMAT)
