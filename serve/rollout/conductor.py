"""Looks at running experiments, and does what the evidence demands.

All processes of all servers that share a store may have a conductor; the one that holds the lease looks. A
look weighs everything and is stored: every ten seconds, or more rarely where it is costly or nothing is new.
Guardrails are looked at in between, as soon as there are enough new answers, so that on a busy server too a
harmful candidate is stopped within the stated units.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
LOOK_SHARE, GLANCE_SHARE = 0.003, 0.005
"""Of a core, at most: what looks at an experiment take, and those at its guardrails alone."""
MOST_SECONDS = 600.0
"""Between looks, however costly: the first one after a start reads everything, and the others do not."""
IDLE_SECONDS = 60.0
"""Between looks where nothing is new, since some of what they weigh is time."""
REST_SECONDS = 3.0
"""So long a process on whose models an experiment cannot run lets others look, whose models may be others."""
MOST_RESTS = 4
"""Of these times, after which it lets them look once more."""
CLOSE_SECONDS = 5.0
SELF = "adaptact"
"""Who acts where nobody else does."""


class Pace:
    """When something is done again, so that it takes no more than its share of a core."""

    def __init__(self, share: float, processor: Callable[[], float], least: float, most: float) -> None:
        """It is due now; `processor` gives the seconds of the processor that its thread has used.

        Between two times lie at least and at most so many seconds, whatever the first has taken.
        """
        self._share = share
        self._processor = processor
        self._least, self._most = least, most
        self._due = 0

    def is_due(self, at: int) -> bool:
        """Whether it may be done at a time in microseconds since 1970."""
        return at >= self._due

    @contextlib.contextmanager
    def take(self, at: int) -> Iterator[None]:
        """Do it in the block, whose processor time decides when it is due again."""
        began = self._processor()
        try:
            yield
        finally:
            seconds = (self._processor() - began) / self._share
            self._due = at + int(min(max(seconds, self._least), self._most) * SECOND)


@dataclass(slots=True)
class Watched:
    """A comparison that is looked at, and what was seen of it last."""

    look: Pace
    glance: Pace
    looked_at: int | None = None
    """When everything was weighed; microseconds since 1970, as is the other."""
    glanced_at: int = 0
    """When the answers alone were."""
    requests: int = 0
    """How many answers and failures there were by then."""
    harms: frozenset[GuardrailKey] = frozenset()
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
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        """`on_change` is called after an experiment has been changed; `measure` gives what variants take.

        `find_change` says why models allow an experiment no longer to run here; it is paused where that is so
        for all that look.
        """
        self._registry = registry
        self._summaries = summaries
        self._lease = registry.make_lease("looks", clock)
        self._on_change = on_change
        self._measure = measure
        self._find_change = find_change
        self._seconds = seconds
        self._clock = clock
        self._processor = processor
        self._watched: dict[tuple[str, int], Watched] = {}
        self._revisions: Mapping[str, int] = {}
        self._running: tuple[Registered, ...] = ()
        # By experiment and phase, when a look was left to others.
        self._left: dict[tuple[str, int], int] = {}
        self._rests_until = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="adaptact-looks", daemon=True)
        self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Take no more looks; one that has begun may take minutes, and ends with the process if it does."""
        self._closed.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        while not self._closed.wait(self._seconds):
            self._try(self.look)
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
        at = self._clock()
        if at < self._rests_until or not self._lease.hold():
            return
        self._follow()
        for registered in self._running:
            self._try(partial(self._attend, registered))
        if self._rests_until > at:
            self._lease.give_back()

    def _attend(self, registered: Registered) -> None:
        experiment, phase, at = registered.experiment, registered.phase, self._clock()
        change = self._find_change(experiment, phase)
        if change is not None:
            if not self._leave_to_others(registered, at):
                step = Step("pause", REASONS["changed"].format(change=change))
                self._take(experiment, phase, step, at)
            return
        watched = self._watched[experiment.name, phase.comparison]
        if self._is_due(registered, watched, at):
            with watched.look.take(at):
                self._look_at(registered, watched, at)

    def _leave_to_others(self, registered: Registered, at: int) -> bool:
        """Whether others may look at an experiment that cannot run here; once none has, it runs nowhere."""
        name, rest = registered.experiment.name, int(REST_SECONDS * SECOND)
        self._left = {key: since for key, since in self._left.items() if at - since < MOST_RESTS * rest}
        until = self._left.setdefault((name, registered.phase.number), at) + rest
        self._rests_until = max(self._rests_until, until)
        return at < until

    def _follow(self) -> None:
        """Know the running experiments, and forget what was kept of others."""
        revisions = self._registry.read_revisions()
        if revisions == self._revisions:
            return
        known = self._registry.read_all()
        self._running = tuple(each for each in known if each.phase.stage in stages.RUNNING)
        running = {(each.experiment.name, each.phase.comparison) for each in self._running}
        for name, _ in self._watched.keys() - running:
            self._summaries.forget(name)
        self._watched = {key: self._watched.get(key) or self._watch() for key in running}
        self._revisions = revisions

    def _watch(self) -> Watched:
        look = Pace(LOOK_SHARE, self._processor, LOOK_SECONDS, MOST_SECONDS)
        return Watched(look, Pace(GLANCE_SHARE, self._processor, 0.0, LOOK_SECONDS))

    def _is_due(self, registered: Registered, watched: Watched, at: int) -> bool:
        """Whether it is time for a look, or new answers show a harm that the look before has not."""
        if watched.looked_at is None:
            return watched.look.is_due(at)
        if watched.look.is_due(at):
            is_long_ago = at - watched.looked_at >= IDLE_SECONDS * SECOND
            name, comparison = registered.experiment.name, registered.phase.comparison
            return is_long_ago or self._summaries.has_news(name, comparison, watched.looked_at - SECOND)
        if not registered.experiment.guardrails or not watched.glance.is_due(at):
            return False
        with watched.glance.take(at):
            return self._shows_harm(registered, watched, at)

    def _shows_harm(self, registered: Registered, watched: Watched, at: int) -> bool:
        """Whether there are enough new answers, and they show another harm than before."""
        experiment, phase = registered.experiment, registered.phase
        requests = self._summaries.count_requests(experiment.name, phase.comparison, at)
        enough = LOOK_ANSWERS if at - watched.glanced_at < LOOK_SECONDS * SECOND else 1
        if requests - watched.requests < enough:
            return False
        watched.glanced_at, watched.requests = at, requests
        harms = find_harms(self._summaries, experiment, phase, at)
        return any(harm.key not in watched.harms for harm in harms)

    def _look_at(self, registered: Registered, watched: Watched, at: int) -> None:
        experiment, phase = registered.experiment, registered.phase
        requests = self._summaries.count_requests(experiment.name, phase.comparison, at)
        memory = self._registry.read_memory(experiment.name, phase.comparison)
        known = read_evidence(
            self._summaries, experiment, phase, memory, at, self._measure(experiment, phase)
        )
        verdict = judge(experiment, known.evidence)
        results = write_results(experiment, known.evidence.observations, verdict)
        content = {"memory": verdict.memory.as_json(), "results": results}
        self._registry.keep_look(experiment.name, phase.comparison, at, content)
        watched.looked_at = watched.glanced_at = at
        watched.requests = requests
        watched.harms = frozenset(harm.key for harm in (*verdict.stopping, *verdict.pausing))
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
