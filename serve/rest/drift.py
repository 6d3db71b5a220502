"""The routes of drift."""

import asyncio
from dataclasses import dataclass, replace

from fastapi import APIRouter

from adaptact.languages.catalogue import Language
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
from serve.rest.language import AskedLanguage, tell
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
    async def all_drift(language: AskedLanguage) -> Drift:
        """Whether live values are like those of real data at export, for every version that can answer."""
        reports = await drift.report_all()
        told = await asyncio.to_thread(lambda: [tell(report.summary, language) for report in reports])
        return Drift(list(map(_summarise, reports, told)), DriftLimits())

    @router.get("/models/{model}/drift")
    async def model_drift(model: ModelName, language: AskedLanguage) -> VersionDrift:
        """The distributions of the version that answers by default, live and at export."""
        return await _tell_report(await drift.report(model), language)

    @router.get("/models/{model}/versions/{version}/drift")
    async def version_drift(model: ModelName, version: VersionName, language: AskedLanguage) -> VersionDrift:
        """The distributions of this version, live and at export."""
        return await _tell_report(await drift.report(model, version), language)

    return router


async def _tell_report(report: DriftReport, language: Language) -> VersionDrift:
    """The report with its sentences in the language, for which a thread takes some milliseconds."""

    def retell() -> DriftReport:
        series = [replace(each, reason=tell(each.reason, language)) for each in report.series]
        return replace(report, summary=tell(report.summary, language), series=series)

    return VersionDrift(report if language == "en" else await asyncio.to_thread(retell), DriftLimits())


def _summarise(report: DriftReport, summary: str) -> DriftSummary:
    return DriftSummary(
        report.model,
        report.version,
        report.verdict,
        summary,
        report.rows,
        report.baseline_rows,
        report.seconds,
    )
