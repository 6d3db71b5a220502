"""The drift of all workers together: what each has counted is added up, and judged once a minute."""

import asyncio
import logging
import os
from collections.abc import Sequence

import numpy as np

from serve.drift.judging import LOOK_SECONDS, DriftReport, judge, report_without
from serve.drift.measuring import DriftMetrics
from serve.drift.monitor import DriftMonitor
from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.shared.channel import Json
from serve.shared.worker_group import WorkerGroup

DRIFT = "drift"  # what workers are asked

log = logging.getLogger("adaptact")


class SharedDrift:
    """One worker's part in the drift of all; runs as long as the web server does."""

    def __init__(self, engine: Engine, monitor: DriftMonitor, workers: WorkerGroup) -> None:
        """From now on the workers can ask for what this one has counted."""
        self._engine = engine
        self._monitor = monitor
        self._workers = workers
        self._metrics = DriftMetrics(engine.metrics.registry, monitor.read_counts)
        self._drifted: frozenset[tuple[str, str]] = frozenset()
        self._speaks = False
        self._task: asyncio.Task[None] | None = None
        workers.register(DRIFT, self._read_here)

    async def start(self) -> None:
        """Look once a minute from now on."""
        self._task = asyncio.create_task(self._look_again_and_again())

    async def stop(self, grace_seconds: float) -> None:
        """Look no more, and store the windows; without, an alarm that ends with its counts is said."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._monitor.store)
        for key in sorted(self._drifted) if self._speaks and not self._monitor.keeps_windows else ():
            log.warning("model `%s` version `%s` drifts as the server stops: its counts begin anew", *key)

    async def look(self) -> None:
        """Judge all versions, set the metrics, and log what has begun or ceased to drift."""
        answers = await self._workers.broadcast(DRIFT)
        reports = await self._judge(answers)
        self._metrics.reports = reports
        drifted = frozenset((each.model, each.version) for each in reports if each.verdict == "drifted")
        # One worker speaks for all, since all see the same.
        self._speaks = os.getpid() == min(answer["process"] for answer in answers)
        if self._speaks:
            _log_changes(reports, self._drifted)
        self._drifted = drifted

    async def report(self, name: str, version: str | None = None) -> DriftReport:
        """That of one version; raises like `Engine.model`."""
        model = self._engine.model(name, version)
        key = model.name, model.version
        reports = await self._judge(await self._workers.broadcast(DRIFT, *key), *key)
        return reports[0] if reports else self._report_without(*key)

    async def report_all(self) -> list[DriftReport]:
        """Those of all versions that can answer, by name."""
        reports = await self._judge(await self._workers.broadcast(DRIFT))
        found = {(each.model, each.version): each for each in reports}
        served = [(each.name, each.version) for each in self._engine.index() if each.state == "READY"]
        return [found.get(key) or self._report_without(*key) for key in served]

    def _report_without(self, name: str, version: str) -> DriftReport:
        return report_without(name, version, self._monitor.describe_first_rows(name, version))

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except EngineError as error:  # no worker answered, or the supervisor is gone
                log.debug("drift is not looked at now: %s", error)
            except Exception:  # the outermost frame of its task, which must go on
                log.exception("drift cannot be looked at")

    async def _read_here(self, name: str | None = None, version: str | None = None) -> Json:
        windows: list[Json] = []
        for window in self._monitor.read_windows(name, version):
            about = window.name, window.version, window.baseline.digest
            windows.append([*about, window.tallies.tolist(), window.seconds])
            await asyncio.sleep(0)  # others are answered in between
        return {"process": os.getpid(), "windows": windows}

    async def _judge(self, answers: Sequence[Json], *key: str) -> list[DriftReport]:
        """Reports of the versions that this worker watches, with what others count by the same baseline.

        Of all, or of the one with this name and version.
        """
        counted: dict[tuple[str, str, str], list[tuple[Json, float]]] = {}
        for *about, tallies, seconds in (window for answer in answers for window in answer["windows"]):
            counted.setdefault((about[0], about[1], about[2]), []).append((tallies, seconds))
        reports = []
        for own in self._monitor.read_windows(*key):
            alike = counted.get((own.name, own.version, own.baseline.digest))
            if alike:
                tallies = np.sum([np.array(each, np.int64) for each, _ in alike], axis=0)
                longest = max(seconds for _, seconds in alike)
                reports.append(
                    await asyncio.to_thread(judge, own.name, own.version, own.baseline, tallies, longest)
                )
        return reports


def _log_changes(reports: Sequence[DriftReport], before: frozenset[tuple[str, str]]) -> None:
    for report in reports:
        key, drifts = (report.model, report.version), report.verdict == "drifted"
        if drifts and key not in before:
            log.warning("model `%s` version `%s` drifts: %s", *key, report.summary)
        elif not drifts and key in before:
            ended = "is not known to drift any more" if report.verdict == "waiting" else "drifts no more"
            log.info("model `%s` version `%s` %s: %s", *key, ended, report.summary)
