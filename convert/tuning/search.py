"""Greedy choice: form by form, over groups of like places and then place by place, in the whole model."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.rule import Rule
from convert.manifest.fields import TrialRecord
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import Plan
from convert.tuning.record import ratios
from convert.tuning.sites import Group
from convert.tuning.timing import HOPELESS_ROUNDS, Compared, Limits, Machine, Turn, compare

MOST_TRIALS = 500
"""Written down in one manifest."""


@dataclass(frozen=True, slots=True)
class Task:
    """A graph, the rules that may rewrite it, and the machine that it is to be fast on."""

    exported: ir.Model
    rules: Sequence[Rule]
    machine: Machine
    told: Callable[[str], None] = lambda what: None
    """Hears what is tried next."""
    written: Callable[[ir.Model], ir.Model] = lambda graph: graph
    """What the file will hold of a graph: itself, or the same in fewer bits."""

    def graph(self, plan: Plan) -> ir.Model:
        """The graph with the forms of the plan."""
        return optimise(self.exported, self.rules, plan=plan).model

    def file(self, plan: Plan) -> ir.Model:
        """What is timed of the plan."""
        return self.written(self.graph(plan))


class Search:
    """The best plan so far, beginning with one, and what was tried; it ends at `until`.

    Nothing less than `noise` counts as a difference.
    """

    def __init__(self, task: Task, plan: Plan, noise: float, until: float) -> None:
        self.plan = plan
        self.trials: list[TrialRecord] = []
        self._task, self._noise, self._until = task, noise, until
        graph = task.graph(plan)
        self._turn: Turn = task.machine.load(task.written(graph))
        self._known = {_digest(graph)}

    def over(self, groups: Sequence[Group]) -> None:
        """Every form of each group was tried, then every form of each of its places, while there was time."""
        for group in groups:
            self._try_forms(group)
        for group in groups:
            for site in group.sites if len(group.sites) > 1 else ():
                self._try_forms(Group(group.kind, group.where, (site,)))

    def _try_forms(self, group: Group) -> None:
        for form in group.kind.forms:
            taken = {self.plan.form(*site.place) for site in group.sites}
            ended = self._task.machine.now() >= self._until or len(self.trials) >= MOST_TRIALS
            if not ended and taken != {form}:
                self._try(group, form, " or ".join(sorted(taken)))

    def _try(self, group: Group, form: str, instead_of: str) -> None:
        plan = self.plan.taking([site.place for site in group.sites], form)
        graph = self._task.graph(plan)
        digest = _digest(graph)
        if digest in self._known:
            return  # the form does not apply here, or it was timed already
        self._known.add(digest)
        self._task.told(f"{group.kind.name}, {len(group.sites)} x: {form}")
        try:
            turn = self._task.machine.load(self._task.written(graph))
        except ExportError:
            return  # the provider has no such operator, or it cannot be rounded: the form is no candidate
        limits = Limits(until=self._until)
        found = compare(self._task.machine, self._turn, turn, self._noise, limits)
        if found.rounds >= HOPELESS_ROUNDS:  # or the time ended before it said anything
            self.trials.append(_trial(group, form, instead_of, found))
        if found.wins:
            self.plan, self._turn = plan, turn


def _trial(group: Group, form: str, instead_of: str, found: Compared) -> TrialRecord:
    return TrialRecord(
        group.kind.name,
        group.where or "anywhere",
        len(group.sites),
        form,
        instead_of,
        *ratios(found.overall),
        found.rounds,
        found.wins,
    )


def _digest(graph: ir.Model) -> bytes:
    return hashlib.sha256(serialise(graph)).digest()
