"""Looks at running experiments every few seconds, and does what the evidence demands.

All processes of all servers that share a store may have a conductor: one of them takes each look.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from serve.experiments import stages
from serve.experiments.definition import Experiment
from serve.experiments.errors import ExperimentError, StageError
from serve.experiments.evidence import read_evidence
from serve.experiments.findings import Expense
from serve.experiments.results import write_results
from serve.experiments.stages import Change, Phase
from serve.experiments.steering import Step, choose_step
from serve.experiments.store.database import now
from serve.experiments.store.registry import Registered, Registry
from serve.experiments.store.summaries import Summaries
from serve.experiments.verdicts import judge

log = logging.getLogger("adaptact")

LOOK_SECONDS = 10.0
SELF = "adaptact"
"""Who acts where nobody else does."""


class Conductor:
    """Takes looks from a thread of its own."""

    def __init__(
        self,
        registry: Registry,
        summaries: Summaries,
        on_change: Callable[[], None] = lambda: None,
        *,
        measure: Callable[[Experiment], Mapping[str, Expense]] = lambda experiment: {},
        seconds: float = LOOK_SECONDS,
        clock: Callable[[], int] = now,
    ) -> None:
        """`on_change` is called after an experiment has been changed; `measure` gives what variants take."""
        self._registry = registry
        self._summaries = summaries
        self._on_change = on_change
        self._measure = measure
        self._seconds = seconds
        self._clock = clock
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="adaptact-looks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more looks."""
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        pause = self._seconds
        while not self._closed.wait(pause):
            began = time.thread_time()
            try:
                self.look()
            except ExperimentError as error:
                log.error("no look at the experiments: %s", error)
            except Exception:  # the outermost frame of its thread: the next look may succeed
                log.exception("no look at the experiments")
            # However much there is to look at, it takes half a per cent of a core.
            pause = max(self._seconds, 200 * (time.thread_time() - began))

    def look(self) -> None:
        """Look at each experiment that runs, unless another process does; raises `StoreError`."""
        interval = max(1, int(1e6 * self._seconds))
        for registered in self._registry.read_all():
            if registered.phase.stage not in stages.RUNNING:
                continue
            name, comparison = registered.experiment.name, registered.phase.comparison
            if self._registry.claim_look(name, comparison, self._clock(), interval):
                self._look_at(registered)

    def _look_at(self, registered: Registered) -> None:
        experiment, phase, at = registered.experiment, registered.phase, self._clock()
        memory = self._registry.read_memory(experiment.name, phase.comparison)
        known = read_evidence(self._summaries, experiment, phase, memory, at, self._measure(experiment))
        verdict = judge(experiment, known.evidence)
        results = write_results(experiment, known.evidence.observations, verdict)
        content = {"memory": verdict.memory.as_json(), "results": results}
        self._registry.keep_look(experiment.name, phase.comparison, at, content)
        phases = self._registry.read_phases(experiment.name)
        step = choose_step(experiment, phases, verdict, known.met, at)
        if step is not None:
            self._take(experiment, phase, step, at)

    def _take(self, experiment: Experiment, phase: Phase, step: Step, at: int) -> None:
        change = Change(at, SELF, step.reason)
        decide = partial(_decide, step=step, looked_at=phase, change=change)
        try:
            self._registry.act(experiment.name, step.act, change, decide)
        except StageError as error:
            log.info("%s", error)  # somebody else has acted meanwhile
            return
        log.warning("experiment `%s`: %s, since %s", experiment.name, step.act, step.reason)
        self._on_change()


def _decide(experiment: Experiment, phase: Phase, *, step: Step, looked_at: Phase, change: Change) -> Phase:
    """The phase after the step, unless the experiment is not any more what was looked at."""
    if phase.number != looked_at.number:
        raise StageError(f"experiment `{experiment.name}` has changed meanwhile")
    return stages.take(step.act, experiment, phase, change, step.candidate)
