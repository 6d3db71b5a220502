"""The optional stage of tuning: of several exact forms at each place, the fastest on the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from adaptact.providers.catalogue import AUTO, PROVIDERS, find_provider
from adaptact.providers.machine import describe_processor
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.manifest.records import ChosenRecord, TuningRecord
from convert.model_io.inputs import LARGEST_INPUT, InputSpec, assign_batch
from convert.rewriting.plan import FormPlan, default_forms
from convert.tuning import cache
from convert.tuning.record import read_plan, record_speeds, round_timing
from convert.tuning.search import Search, TuningTask
from convert.tuning.sites import SiteGroup, group_sites
from convert.tuning.timing import FEWEST_ROUNDS, GUARD_ROUNDS, Limits, compare_times, measure_noise

SECONDS = 60.0
LARGEST_BATCH, MOST_BATCHES, MOST_THREADS, MOST_SECONDS = 65536, 8, 1024, 86400.0
FASTER = "the chosen forms are faster than the table's beyond the noise"
NOT_FASTER = "compared once more, the chosen forms were not faster beyond the noise: the table's were kept"
NOTHING = "no form was faster than the table's beyond the noise"
TOO_SHORT = "the time was too short to tell a difference from the noise: the table's forms were kept"
NOT_EXACT = "the chosen forms did not pass parity: the table's were kept"
_VERDICTS = (FASTER, NOT_FASTER, NOTHING, TOO_SHORT, NOT_EXACT)


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """The target of tuning: the provider, the threads, and the batch sizes.

    Raises UsageError for values out of range.
    """

    provider: str = "cpu"
    threads: int = 1
    """Of one run; with the provider `auto` fewer are tried too."""
    batches: tuple[int, ...] = ()
    """If empty, the model's own batch where that is fixed, else one sample."""
    seconds: float = SECONDS
    """The time that tuning may take."""
    cached: bool = True
    """Whether an earlier result is taken from the cache, and this one stored there."""

    def __post_init__(self) -> None:
        if self.provider not in (*PROVIDERS, AUTO):
            raise UsageError(f"provider `{self.provider}` is not one of: {', '.join((*PROVIDERS, AUTO))}")
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

    def with_batches(self, inputs: Sequence[InputSpec]) -> "TuningOptions":
        """The options with batches that the inputs take. Raises UsageError where they take no such batch."""
        fixed = inputs[0].shape[0] if inputs[0].shape and inputs[0].free_batch is None else None
        if isinstance(fixed, int) and self.batches not in ((), (fixed,)):
            raise UsageError(
                f"`--batch` has {list(self.batches)}, and the model takes {fixed} samples at a time only",
                hint="leave out --batch, or export the model with a free batch",
            )
        batches = self.batches or (fixed if isinstance(fixed, int) else 1,)
        numbers = sum(prod(spec.fill_sizes(assign_batch(inputs, max(batches)))) for spec in inputs)
        if numbers > LARGEST_INPUT:
            raise UsageError(
                f"a batch of {max(batches)} has {numbers} numbers, expected at most {LARGEST_INPUT}",
                hint="choose smaller sizes: --batch 1,16",
            )
        return replace(self, batches=batches)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The form of every place, and the timings behind it."""

    plan: FormPlan
    record: TuningRecord
    key: cache.Key | None = None
    """The key in the cache; None without a cache."""


def tune(task: TuningTask, options: TuningOptions) -> TuningResult:
    """The fastest plan found in time; the provider's default forms if none was faster beyond the noise.

    A cached result that had as much time is taken without a run. Raises UsageError for a model too large to
    be loaded several times.
    """
    size = count_weight_bytes(task.exported)
    if size > LARGEST:
        raise UsageError(
            f"a model with {size} bytes of weights cannot be tuned, at most {LARGEST}",
            hint="leave out --tune: a table of the provider then chooses the forms",
        )
    forms = default_forms(options.provider)
    groups = group_sites(task.exported, task.rules, forms)
    graph = serialise(task.build_rounded_graph(FormPlan(forms)))
    key = cache.make_key(graph, options.provider, options.threads, options.batches, task.precision)
    cached = _read_cached(key, options, groups) if options.cached else None
    if cached is not None:
        return cached
    return _store(replace(_search(task, options, groups), key=key if options.cached else None))


def _store(tuned: TuningResult) -> TuningResult:
    if tuned.key is not None:
        cache.write(tuned.key, tuned.record)
    return tuned


def _read_cached(
    key: cache.Key, options: TuningOptions, groups: tuple[SiteGroup, ...]
) -> TuningResult | None:
    """The cached result, where it had as much time and still fits the graph."""
    stored = cache.read(key)
    if stored is None or stored.seconds < options.seconds or stored.verdict not in _VERDICTS:
        return None
    known = {site.place for group in groups for site in group.sites}
    plan = read_plan(stored.chosen, default_forms(options.provider), known)
    return TuningResult(plan, stored, key) if plan is not None else None


def drop_rule(task: TuningTask, tuned: TuningResult, rule: str) -> TuningResult:
    """The plan without the forms of a rule that broke parity, where it still is faster than the default
    forms.

    The rules of `task` do not hold that one any more. The comparison takes time beyond that of the options.
    """
    plan = tuned.plan.without_form(rule)
    groups = group_sites(task.exported, task.rules, plan.forms)
    if not _record_chosen(plan, groups):
        return reject_forms(tuned)
    confirmed = _confirm(task, plan, replace(tuned.record, chosen=()), groups, task.machine.now())
    spent = round_timing(tuned.record.spent + confirmed.record.spent)
    return _store(TuningResult(confirmed.plan, replace(confirmed.record, spent=spent), tuned.key))


def reject_forms(tuned: TuningResult) -> TuningResult:
    """The default forms, since the chosen ones broke parity."""
    record = replace(tuned.record, chosen=(), speeds=(), verdict=NOT_EXACT)
    return _store(TuningResult(FormPlan(tuned.plan.forms), record, tuned.key))


def _search(task: TuningTask, options: TuningOptions, groups: tuple[SiteGroup, ...]) -> TuningResult:
    start = task.machine.now()
    end = start + options.seconds
    untuned = FormPlan(default_forms(options.provider))
    task.on_progress("the noise of this machine")
    noise, comparison = measure_noise(
        task.machine, task.build_rounded_graph(untuned), start + options.seconds / 4
    )
    record = _start_record(options, noise)
    if comparison.rounds < FEWEST_ROUNDS:
        return _finish(task, untuned, replace(record, verdict=TOO_SHORT), start)
    # The confirmation loads two graphs instead of one, and has 31 rounds instead of 21.
    confirmation = 2 * (task.machine.now() - start)
    search = Search(task, untuned, noise, end - confirmation)
    search.run(groups)
    record = replace(record, trials=tuple(search.trials))
    if not any(trial.taken for trial in search.trials):
        return _finish(task, untuned, replace(record, verdict=NOTHING), start)
    return _confirm(task, search.plan, record, groups, start)


def _confirm(
    task: TuningTask, plan: FormPlan, record: TuningRecord, groups: tuple[SiteGroup, ...], start: float
) -> TuningResult:
    """The plan where it is faster than the default forms again, in new sessions; else those forms."""
    task.on_progress("the chosen forms against the table's")
    untuned = FormPlan(plan.forms)
    base, candidate = (task.machine.load(task.build_rounded_graph(forms)) for forms in (untuned, plan))
    limits = Limits(GUARD_ROUNDS, start + record.seconds, early=False)
    comparison = compare_times(task.machine, base, candidate, record.noise, limits)
    record = replace(record, speeds=record_speeds(record.batches, comparison))
    if not comparison.is_win:
        verdict = NOT_FASTER if comparison.rounds >= FEWEST_ROUNDS else TOO_SHORT
        return _finish(task, untuned, replace(record, verdict=verdict), start)
    chosen = _record_chosen(plan, groups)
    return _finish(task, plan, replace(record, verdict=FASTER, chosen=chosen), start)


def _record_chosen(plan: FormPlan, groups: tuple[SiteGroup, ...]) -> tuple[ChosenRecord, ...]:
    """The places that take another form than the default."""
    sites = (site for group in groups for site in group.sites)
    return tuple(
        ChosenRecord(site.kind.name, site.value, site.layer, plan.form_at(*site.place))
        for site in sites
        if plan.form_at(*site.place) != plan.forms[site.kind.name]
    )


def _start_record(options: TuningOptions, noise: float) -> TuningRecord:
    return TuningRecord(
        provider=options.provider,
        threads=options.threads,
        batches=options.batches,
        processor=describe_processor(with_gpus=find_provider(options.provider).on_gpu),
        seconds=options.seconds,
        spent=0.0,
        noise=noise,
        trials=(),
        chosen=(),
        speeds=(),
        verdict="",
    )


def _finish(task: TuningTask, plan: FormPlan, record: TuningRecord, start: float) -> TuningResult:
    spent = round_timing(task.machine.now() - start)
    return TuningResult(plan, replace(record, spent=spent, noise=min(round_timing(record.noise), 1e9)))
