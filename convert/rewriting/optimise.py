"""Applies the rewrite rules until none fires: the graph computes the same numbers at less cost."""

import contextlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass, RemoveUnusedNodesPass

from convert.graph.nodes import get_layer_name
from convert.graph.rule import Declined, Fired, Rule
from convert.rewriting.forms import ALTERNATIVES
from convert.rewriting.plan import LAYOUT, FormPlan
from convert.rewriting.small_forms import SMALL_FORMS
from convert.rewriting.steps import StepGuard
from convert.rules import RULES

FIRINGS_PER_NODE = 5
"""Every firing removes or finally lowers a node, so rules come to rest; this bounds a pair that does not."""


REACHES_STEP = "it would round differently, and its result reaches a step, where the last digit counts"


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule at one place: `layer` is the module of the node, `value` the name of its result."""

    rule: str
    layer: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that declined a node, and why."""

    rule: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class DroppedRule:
    """A rule that the graph is rewritten without, and the failure that it caused."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class OptimisedGraph:
    """The rewritten graph, every firing in order, and the refusals that remain."""

    model: ir.Model
    firings: tuple[Firing, ...]
    refusals: tuple[Refusal, ...]
    dropped: tuple[DroppedRule, ...] = ()
    """The rules that broke it, and were left out."""

    def count_firings(self) -> dict[str, int]:
        """How often each rule fired, in the order of the rules."""
        fired = Counter(firing.rule for firing in self.firings)
        names = (rule.name for rule in (*RULES, *ALTERNATIVES, *SMALL_FORMS))
        return {name: fired[name] for name in names if fired[name]}


def remaining_rules(dropped: Sequence[DroppedRule]) -> tuple[Rule, ...]:
    """RULES without those that were dropped."""
    names = {record.rule for record in dropped}
    return tuple(rule for rule in RULES if rule.name not in names)


def find_breaking(firings: Sequence[Firing], is_sound: Callable[[int], bool]) -> Firing | None:
    """The first firing after which the graph is not sound; None where it is sound with all of them.

    `is_sound` says whether the graph is with the first so many firings, as it is with none.
    """
    count = bisect_left(range(len(firings) + 1), True, lo=1, key=lambda first: not is_sound(first))
    return firings[count - 1] if count <= len(firings) else None


def optimise(
    model: ir.Model, rules: Sequence[Rule] = RULES, limit: int | None = None, plan: FormPlan | None = None
) -> OptimisedGraph:
    """The model with the rules applied, at most `limit` times; the argument is left as it is.

    A rule is tried only once all rules before it have come to rest, and may rely on that. `plan` says which
    of several exact forms a place takes; without it they are the CPU's default forms.
    """
    plan = plan or FormPlan()
    optimised = model.clone()
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(optimised)
    RemoveUnusedNodesPass()(optimised)  # or an unused node would count as a reader
    most = FIRINGS_PER_NODE * (optimised.graph.num_nodes() + 1)
    rewriter = _Rewriter(optimised.graph, plan, most if limit is None else min(most, limit))
    with _hide_foreign(optimised):
        rewriter.apply_until_rest(rules)
        if alternatives := plan.alternatives():
            # Some rules would undo these forms, so only the rules of layout are tried again.
            rewriter.apply_until_rest((*alternatives, *(rule for rule in rules if rule.name in LAYOUT)))
    RemoveUnusedNodesPass()(optimised)
    NameFixPass()(optimised)
    return OptimisedGraph(optimised, tuple(rewriter.firings), tuple(rewriter.refusals))


@contextlib.contextmanager
def _hide_foreign(model: ir.Model) -> Iterator[None]:
    """Within the block no operator of another domain has a standard name, as ONNX Runtime's own Conv has.

    A rule looks at a node's neighbours too, which it may know by their names alone.
    """
    foreign = {node: node.op_type for node in model.graph.all_nodes() if node.domain}
    for node in foreign:
        node.op_type = f"{node.domain}::{node.op_type}"
    try:
        yield
    finally:
        for node, operator in foreign.items():
            node.op_type = operator


class _Rewriter:
    """Applies rules to a graph, at most `most` times."""

    def __init__(self, graph: ir.Graph, plan: FormPlan, most: int) -> None:
        self._graph, self._plan, self._most = graph, plan, most
        self.firings: list[Firing] = []
        self.refusals: dict[Refusal, None] = {}
        self._guard: StepGuard | None = StepGuard(graph)
        self._has_steps = self._guard.is_needed  # and no rule makes one

    def apply_until_rest(self, rules: Sequence[Rule]) -> None:
        """No rule fires any more; `refusals` gains the nodes that they declined last."""
        declined: list[Refusal] = []
        place = 0
        while place < len(rules):
            fired, refusals = self._walk(rules[place])
            declined = [*declined, *refusals] if not fired else []
            place = 0 if fired else place + 1
        self.refusals |= dict.fromkeys([*declined, *self._list_held_back(rules)])

    def _walk(self, rule: Rule) -> tuple[bool, list[Refusal]]:
        """Try the rule at every node: whether it fired, and its refusals."""
        before = len(self.firings)
        refusals: list[Refusal] = []
        for node in self._graph:
            if len(self.firings) >= self._most:
                break
            if node.graph is not self._graph or not self._is_tried(rule, node):
                continue
            if self._has_steps and self._get_guard().forbids(rule, node):
                continue
            layer, value = get_layer_name(node), node.outputs[0].name or ""
            outcome = rule.rewrite(node)
            if isinstance(outcome, Fired):
                self.firings.append(Firing(rule.name, layer, value))
                self._guard = None
            elif isinstance(outcome, Declined):
                refusals.append(Refusal(rule.name, layer, outcome.reason))
        return len(self.firings) > before, refusals

    def _is_tried(self, rule: Rule, node: ir.Node) -> bool:
        return not node.domain and node.op_type in rule.operators and self._plan.allows(rule, node)

    def _list_held_back(self, rules: Sequence[Rule]) -> Iterator[Refusal]:
        """The rules that only the guard keeps from firing, each tried on a copy of the graph."""
        if not self._has_steps or len(self.firings) >= self._most:
            return
        guard = self._get_guard()
        for rule in rules:
            nodes = list(self._graph)
            places = [
                place
                for place, node in enumerate(nodes)
                if self._is_tried(rule, node) and guard.forbids(rule, node)
            ]
            copies = list(self._graph.clone()) if places else []
            for place in places:
                if copies[place].graph is not None and isinstance(rule.rewrite(copies[place]), Fired):
                    yield Refusal(rule.name, get_layer_name(nodes[place]), REACHES_STEP)

    def _get_guard(self) -> StepGuard:
        """The guard for the graph as it stands."""
        if self._guard is None:
            self._guard = StepGuard(self._graph)
        return self._guard
