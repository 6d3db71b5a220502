"""The stage that is asked for: of several exact forms at each place, the fastest on the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from convert.artefact.external import LARGEST, weights
from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.manifest.fields import ChosenRecord, TuningRecord
from convert.model_io.inputs import LARGEST_INPUT, InputSpec, batch_of
from convert.model_io.runtime import PROVIDERS
from convert.rewriting.plan import Plan, table
from convert.tuning import cache
from convert.tuning.record import plan_of, rounded, speeds
from convert.tuning.search import Search, Task
from convert.tuning.sites import Group, groups
from convert.tuning.timing import FEWEST_ROUNDS, GUARD_ROUNDS, Limits, compare, noise_of

SECONDS = 60.0
LARGEST_BATCH, MOST_BATCHES, MOST_THREADS, MOST_SECONDS = 65536, 8, 1024, 86400.0
FASTER = "the chosen forms are faster than the table's beyond the noise"
NOT_FASTER = "compared once more, the chosen forms were not faster beyond the noise: the table's were kept"
NOTHING = "no form was faster than the table's beyond the noise"
TOO_SHORT = "the time was too short to tell a difference from the noise: the table's forms were kept"
NOT_EXACT = "the chosen forms did not pass parity: the table's were kept"
_VERDICTS = (FASTER, NOT_FASTER, NOTHING, TOO_SHORT, NOT_EXACT)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is to be fast: on which provider, with how many threads, for how many samples at a time.

    Raises UsageError where that cannot be meant.
    """

    provider: str = "cpu"
    threads: int = 1
    batches: tuple[int, ...] = ()
    """Of none, the model's own where that is fixed, else one sample."""
    seconds: float = SECONDS
    """All the time that it may take."""
    cached: bool = True
    """Whether an answer that was found before is taken, and this one stored."""

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise UsageError(f"provider `{self.provider}` is not one of: {', '.join(PROVIDERS)}")
        if not 1 <= self.threads <= MOST_THREADS:
            raise UsageError(f"`--threads` is {self.threads}, expected 1 to {MOST_THREADS}")
        if not len(set(self.batches)) == len(self.batches) <= MOST_BATCHES:
            raise UsageError(
                f"`--batch` has {list(self.batches)}, expected at most {MOST_BATCHES} different sizes"
            )
        if not all(1 <= batch <= LARGEST_BATCH for batch in self.batches):
            raise UsageError(f"`--batch` has {list(self.batches)}, expected sizes from 1 to {LARGEST_BATCH}")
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= MOST_SECONDS):
            raise UsageError(f"`--tune-seconds` is {self.seconds:g}, expected above 0 to {MOST_SECONDS:g}")

    def sized(self, inputs: Sequence[InputSpec]) -> "Tuning":
        """The same with batches that the inputs take. Raises UsageError where they take none of that size."""
        fixed = inputs[0].shape[0] if inputs[0].shape and inputs[0].free_batch is None else None
        if isinstance(fixed, int) and self.batches not in ((), (fixed,)):
            raise UsageError(
                f"`--batch` has {list(self.batches)}, and the model takes {fixed} samples at a time only",
                hint="leave out --batch, or export the model with a free batch",
            )
        batches = self.batches or (fixed if isinstance(fixed, int) else 1,)
        numbers = sum(prod(spec.sized(batch_of(inputs, max(batches)))) for spec in inputs)
        if numbers > LARGEST_INPUT:
            raise UsageError(
                f"a batch of {max(batches)} has {numbers} numbers, expected at most {LARGEST_INPUT}",
                hint="choose smaller sizes: --batch 1,16",
            )
        return replace(self, batches=batches)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The form of every place, and what it was chosen by."""

    plan: Plan
    record: TuningRecord
    key: cache.Key | None = None
    """Where it is stored, if it is."""


def tune(task: Task, asked: Tuning) -> Tuned:
    """The fastest plan found in the time given, which is the provider's table if none was beyond the noise.

    An answer from the cache is taken without a run where it was given as much time. Raises UsageError for a
    model too large to be loaded several times.
    """
    if weights(task.exported) > LARGEST:
        raise UsageError(
            f"a model with {weights(task.exported)} bytes of weights cannot be tuned, at most {LARGEST}",
            hint="leave out --tune: a table of the provider then chooses the forms",
        )
    forms = table(asked.provider)
    found = groups(task.exported, task.rules, forms)
    key = cache.key_of(serialise(task.file(Plan(forms))), asked.provider, asked.threads, asked.batches)
    before = _before(key, asked, found) if asked.cached else None
    if before is not None:
        return before
    return _stored(replace(_search(task, asked, found), key=key if asked.cached else None))


def _stored(tuned: Tuned) -> Tuned:
    if tuned.key is not None:
        cache.write(tuned.key, tuned.record)
    return tuned


def _before(key: cache.Key, asked: Tuning, found: tuple[Group, ...]) -> Tuned | None:
    """The stored answer, where it is one to this question."""
    stored = cache.read(key)
    if stored is None or stored.seconds < asked.seconds or stored.verdict not in _VERDICTS:
        return None
    known = {site.place for group in found for site in group.sites}
    plan = plan_of(stored.chosen, table(asked.provider), known)
    return Tuned(plan, stored, key) if plan is not None else None


def without(task: Task, tuned: Tuned, rule: str) -> Tuned:
    """The plan less what a rule wrote that broke parity, where it still is faster than the table's forms.

    `task` has its rules without that one already; the comparison takes time beyond what was given.
    """
    plan = tuned.plan.without(rule)
    found = groups(task.exported, task.rules, plan.forms)
    if not _chosen(plan, found):
        return not_exact(tuned)
    again = _guarded(task, plan, replace(tuned.record, chosen=()), found, task.machine.now())
    spent = rounded(tuned.record.spent + again.record.spent)
    return _stored(Tuned(again.plan, replace(again.record, spent=spent), tuned.key))


def not_exact(tuned: Tuned) -> Tuned:
    """The table's forms, since the chosen ones broke parity."""
    record = replace(tuned.record, chosen=(), speeds=(), verdict=NOT_EXACT)
    return _stored(Tuned(Plan(tuned.plan.forms), record, tuned.key))


def _search(task: Task, asked: Tuning, found: tuple[Group, ...]) -> Tuned:
    start = task.machine.now()
    end = start + asked.seconds
    untuned = Plan(table(asked.provider))
    task.told("the noise of this machine")
    noise, alone = noise_of(task.machine, task.file(untuned), start + asked.seconds / 4)
    begun = _record(asked, noise)
    if alone.rounds < FEWEST_ROUNDS:
        return _decided(task, untuned, replace(begun, verdict=TOO_SHORT), start)
    # It makes two graphs ready instead of one, and has 31 rounds instead of 21.
    guard = 2 * (task.machine.now() - start)
    search = Search(task, untuned, noise, end - guard)
    search.over(found)
    searched = replace(begun, trials=tuple(search.trials))
    if not any(trial.taken for trial in search.trials):
        return _decided(task, untuned, replace(searched, verdict=NOTHING), start)
    return _guarded(task, search.plan, searched, found, start)


def _guarded(task: Task, plan: Plan, record: TuningRecord, found: tuple[Group, ...], start: float) -> Tuned:
    """The plan where it is faster than the table's forms once more, in sessions of their own; else those."""
    task.told("the chosen forms against the table's")
    untuned = Plan(plan.forms)
    base, candidate = (task.machine.load(task.file(each)) for each in (untuned, plan))
    limits = Limits(GUARD_ROUNDS, start + record.seconds, early=False)
    last = compare(task.machine, base, candidate, record.noise, limits)
    measured = replace(record, speeds=speeds(record.batches, last))
    if not last.wins:
        verdict = NOT_FASTER if last.rounds >= FEWEST_ROUNDS else TOO_SHORT
        return _decided(task, untuned, replace(measured, verdict=verdict), start)
    chosen = _chosen(plan, found)
    return _decided(task, plan, replace(measured, verdict=FASTER, chosen=chosen), start)


def _chosen(plan: Plan, found: tuple[Group, ...]) -> tuple[ChosenRecord, ...]:
    """The places that take another form than the table's."""
    sites = (site for group in found for site in group.sites)
    return tuple(
        ChosenRecord(site.kind.name, site.value, site.layer, plan.form(*site.place))
        for site in sites
        if plan.form(*site.place) != plan.forms[site.kind.name]
    )


def _record(asked: Tuning, noise: float) -> TuningRecord:
    return TuningRecord(
        provider=asked.provider,
        threads=asked.threads,
        batches=asked.batches,
        processor=cache.processor(asked.provider),
        seconds=asked.seconds,
        spent=0.0,
        noise=noise,
        trials=(),
        chosen=(),
        speeds=(),
        verdict="",
    )


def _decided(task: Task, plan: Plan, record: TuningRecord, start: float) -> Tuned:
    spent = rounded(task.machine.now() - start)
    return Tuned(plan, replace(record, spent=spent, noise=min(rounded(record.noise), 1e9)))
