"""Looks at running experiments, and does what the evidence demands.

All processes of all servers that share a store may have a conductor; the one that holds the lease looks. A
look weighs everything and is stored: every ten seconds. Guardrails are looked at in between, as soon as there
are enough new answers, so that on a busy server too a harmful candidate is stopped within the stated units.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from serve.experiments import stages
from serve.experiments.definition import Experiment
from serve.experiments.errors import ExperimentError, StageError
from serve.experiments.evidence import find_harms, read_evidence
from serve.experiments.findings import Expense, GuardrailKey
from serve.experiments.reasons import REASONS
from serve.experiments.results import write_results
from serve.experiments.stages import Change, Phase
from serve.experiments.steering import LOOK_ANSWERS, LOOK_SECONDS, SECOND, Step, choose_step
from serve.experiments.store.database import now
from serve.experiments.store.registry import Registered, Registry
from serve.experiments.store.summaries import Summaries
from serve.experiments.verdicts import judge

log = logging.getLogger("adaptact")

POLL_SECONDS = 1.0
MOST_OF_A_CORE = 0.01
"""The share that looks take, however much there is to look at."""
SELF = "adaptact"
"""Who acts where nobody else does."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """What was seen of a comparison last."""

    looked_at: int
    """When everything was weighed; microseconds since 1970, as is the other."""
    glanced_at: int
    """When the answers alone were."""
    harms: frozenset[GuardrailKey]
    """That were shown by then."""


class Conductor:
    """Takes looks from a thread of its own."""

    def __init__(  # noqa: PLR0913  # what it works with
        self,
        registry: Registry,
        summaries: Summaries,
        on_change: Callable[[], None] = lambda: None,
        *,
        measure: Callable[[Experiment, Phase], Mapping[str, Expense]] = lambda experiment, phase: {},
        find_change: Callable[[Experiment, Phase], str | None] = lambda experiment, phase: None,
        seconds: float = POLL_SECONDS,
        clock: Callable[[], int] = now,
    ) -> None:
        """`on_change` is called after an experiment has been changed; `measure` gives what variants take.

        `find_change` says why models allow an experiment no longer to run; it is paused then.
        """
        self._registry = registry
        self._summaries = summaries
        self._lease = registry.make_lease("looks", clock)
        self._on_change = on_change
        self._measure = measure
        self._find_change = find_change
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[tuple[str, int], LastLook] = {}
        self._revisions: Mapping[str, int] = {}
        self._running: tuple[Registered, ...] = ()
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
            self._try(self.look)
            pause = max(self._seconds, (time.thread_time() - began) / MOST_OF_A_CORE)
        self._try(self._lease.give_back)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ExperimentError as error:
            log.error("no look at the experiments: %s", error)
        except Exception:  # the outermost frame of its thread: the next look may succeed
            log.exception("no look at the experiments")

    def look(self) -> None:
        """Look at each running experiment for which it is time, if it is this process that does so.

        One that cannot be looked at holds up no other. Raises `StoreError`.
        """
        if not self._lease.hold():
            return
        self._follow()
        for registered in self._running:
            self._try(partial(self._attend, registered))

    def _attend(self, registered: Registered) -> None:
        experiment, phase = registered.experiment, registered.phase
        change = self._find_change(experiment, phase)
        if change is not None:
            step = Step("pause", REASONS["changed"].format(change=change))
            self._take(experiment, phase, step, self._clock())
        elif self._is_due(registered):
            self._look_at(registered)

    def _follow(self) -> None:
        """Know the running experiments, and forget what was kept of others."""
        revisions = self._registry.read_revisions()
        if revisions == self._revisions:
            return
        known = self._registry.read_all()
        self._running = tuple(each for each in known if each.phase.stage in stages.RUNNING)
        running = {(each.experiment.name, each.phase.comparison) for each in self._running}
        for name, _ in self._seen.keys() - running:
            self._summaries.forget(name)
        self._seen = {key: seen for key, seen in self._seen.items() if key in running}
        self._revisions = {each.experiment.name: each.revision for each in known}

    def _is_due(self, registered: Registered) -> bool:
        """Whether it is time, or new answers show a harm that the look before has not."""
        experiment, phase, at = registered.experiment, registered.phase, self._clock()
        key = experiment.name, phase.comparison
        seen = self._seen.get(key)
        if seen is None or at - seen.looked_at >= LOOK_SECONDS * SECOND:
            return True
        has_news = self._summaries.has_answers(*key, seen.glanced_at, LOOK_ANSWERS)
        if not has_news or not experiment.guardrails:
            return False
        self._seen[key] = replace(seen, glanced_at=at)
        harms = find_harms(self._summaries, experiment, phase, at)
        return any(harm.key not in seen.harms for harm in harms)

    def _look_at(self, registered: Registered) -> None:
        experiment, phase, at = registered.experiment, registered.phase, self._clock()
        memory = self._registry.read_memory(experiment.name, phase.comparison)
        known = read_evidence(
            self._summaries, experiment, phase, memory, at, self._measure(experiment, phase)
        )
        verdict = judge(experiment, known.evidence)
        results = write_results(experiment, known.evidence.observations, verdict)
        content = {"memory": verdict.memory.as_json(), "results": results}
        self._registry.keep_look(experiment.name, phase.comparison, at, content)
        shown = frozenset(harm.key for harm in (*verdict.stopping, *verdict.pausing))
        self._seen[experiment.name, phase.comparison] = LastLook(at, at, shown)
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
