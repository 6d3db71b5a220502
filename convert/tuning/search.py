"""Greedy search for the fastest forms, over groups of like sites and then site by site."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from adaptact.providers.provider import Precision
from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.rule import Rule
from convert.manifest.records import TrialRecord
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import FormPlan
from convert.tuning.record import record_ratio
from convert.tuning.sites import SiteGroup
from convert.tuning.timing import HOPELESS_ROUNDS, Limits, Machine, TimingComparison, Turn, compare_times

MOST_TRIALS = 500
"""In one manifest."""


@dataclass(frozen=True, slots=True)
class TuningTask:
    """A graph, the rules that may rewrite it, and the machine that it is to be fast on."""

    exported: ir.Model
    rules: Sequence[Rule]
    machine: Machine
    on_progress: Callable[[str], None] = lambda detail: None
    """Called with what is tried next."""
    round_graph: Callable[[ir.Model], ir.Model] = lambda graph: graph
    """Gives a graph the precision of the file."""
    precision: Precision = "fp32"
    """What the provider computes graphs in."""

    def build_graph(self, plan: FormPlan) -> ir.Model:
        """The graph with the forms of the plan."""
        return optimise(self.exported, self.rules, plan=plan).model

    def build_rounded_graph(self, plan: FormPlan) -> ir.Model:
        """The same in the precision of the file, as it is timed."""
        return self.round_graph(self.build_graph(plan))


class Search:
    """The best plan so far, starting from `plan`, and the trials; the search ends at the time `until`.

    A difference below `noise` does not count.
    """

    def __init__(self, task: TuningTask, plan: FormPlan, noise: float, until: float) -> None:
        self.plan = plan
        self.trials: list[TrialRecord] = []
        self._task, self._noise, self._until = task, noise, until
        graph = task.build_graph(plan)
        self._turn: Turn = task.machine.load(task.round_graph(graph))
        self._known = {_hash_graph(graph)}

    def run(self, groups: Sequence[SiteGroup]) -> None:
        """Try every form of each group, then of each of its sites, while there is time."""
        for group in groups:
            self._try_forms(group)
        for group in groups:
            for site in group.sites if len(group.sites) > 1 else ():
                self._try_forms(SiteGroup(group.kind, group.where, (site,)))

    def _try_forms(self, group: SiteGroup) -> None:
        for form in group.kind.forms:
            taken = {self.plan.form_at(*site.place) for site in group.sites}
            ended = self._task.machine.now() >= self._until or len(self.trials) >= MOST_TRIALS
            if not ended and taken != {form}:
                self._try(group, form, " or ".join(sorted(taken)))

    def _try(self, group: SiteGroup, form: str, instead_of: str) -> None:
        plan = self.plan.with_form([site.place for site in group.sites], form)
        graph = self._task.build_graph(plan)
        digest = _hash_graph(graph)
        if digest in self._known:
            return  # the form does not apply here, or was timed before
        self._known.add(digest)
        self._task.on_progress(f"{group.kind.name}, {len(group.sites)} x: {form}")
        try:
            turn = self._task.machine.load(self._task.round_graph(graph))
        except ExportError:
            return  # the provider has no such operator, or it cannot be rounded
        limits = Limits(until=self._until)
        comparison = compare_times(self._task.machine, self._turn, turn, self._noise, limits)
        if (
            comparison.rounds >= HOPELESS_ROUNDS
        ):  # with fewer, the time ended before the result meant anything
            self.trials.append(_record_trial(group, form, instead_of, comparison))
        if comparison.is_win:
            self.plan, self._turn = plan, turn


def _record_trial(group: SiteGroup, form: str, instead_of: str, comparison: TimingComparison) -> TrialRecord:
    return TrialRecord(
        group.kind.name,
        group.where or "anywhere",
        len(group.sites),
        form,
        instead_of,
        *record_ratio(comparison.overall),
        comparison.rounds,
        comparison.is_win,
    )


def _hash_graph(graph: ir.Model) -> bytes:
    return hashlib.sha256(serialise(graph)).digest()
