"""The routes of drift."""

from dataclasses import dataclass

from fastapi import APIRouter

from serve.drift.judging import (
    ALARMS_PER_DAY,
    DRIFTED_KS,
    DRIFTED_OUTSIDE,
    DRIFTED_PSI,
    LEAST_ROWS,
    SHIFTED_KS,
    SHIFTED_OUTSIDE,
    SHIFTED_PSI,
    DriftReport,
    Verdict,
)
from serve.rest.schemas import ERRORS, ModelName, VersionName
from serve.shared.drift import SharedDrift


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """What one version's drift comes to."""

    model: str
    version: str
    verdict: Verdict
    summary: str
    rows: int
    baseline_rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """From where on values have shifted, and have drifted, where chance does not explain it."""

    psi: tuple[float, float] = (SHIFTED_PSI, DRIFTED_PSI)
    ks: tuple[float, float] = (SHIFTED_KS, DRIFTED_KS)
    outside: tuple[float, float] = (SHIFTED_OUTSIDE, DRIFTED_OUTSIDE)
    """Of the share outside the range, beyond that of the baseline."""
    rows: int = LEAST_ROWS
    alarms_per_day: float = ALARMS_PER_DAY
    """Of a version in stable traffic, at most."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Every version's drift."""

    models: list[DriftSummary]
    limits: DriftLimits


@dataclass(frozen=True, slots=True)
class VersionDrift:
    """One version's drift, with its distributions."""

    report: DriftReport
    limits: DriftLimits


def drift_routes(drift: SharedDrift) -> APIRouter:
    """The routes of drift."""
    router = APIRouter(prefix="/adaptact/v1", tags=["drift"], responses=ERRORS)

    @router.get("/drift")
    async def all_drift() -> Drift:
        """Whether live values are like those of real data at export, for every version that can answer."""
        return Drift([_summarise(report) for report in await drift.report_all()], DriftLimits())

    @router.get("/models/{model}/drift")
    async def model_drift(model: ModelName) -> VersionDrift:
        """The distributions of the version that answers by default, live and at export."""
        return VersionDrift(await drift.report(model), DriftLimits())

    @router.get("/models/{model}/versions/{version}/drift")
    async def version_drift(model: ModelName, version: VersionName) -> VersionDrift:
        """The distributions of this version, live and at export."""
        return VersionDrift(await drift.report(model, version), DriftLimits())

    return router


def _summarise(report: DriftReport) -> DriftSummary:
    return DriftSummary(
        report.model,
        report.version,
        report.verdict,
        report.summary,
        report.rows,
        report.baseline_rows,
        report.seconds,
    )
