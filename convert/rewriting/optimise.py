"""Applies the rewrite rules until none fires: the same numbers, computed more cheaply."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass, RemoveUnusedNodesPass

from convert.graph.nodes import layer_of
from convert.graph.rule import Declined, Fired, Rule
from convert.rewriting.forms import ALTERNATIVES
from convert.rewriting.plan import LAYOUT, Plan
from convert.rules import RULES

# Every firing removes or finally lowers a node, so rules come to rest; this bounds a pair that would not.
FIRINGS_PER_NODE = 5


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule at one place: `layer` is the module that the node came from, `value` what it computed."""

    rule: str
    layer: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that looked at a node and left it alone, and why."""

    rule: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule that the graph was rewritten without, and why: what went wrong with it."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Optimised:
    """The rewritten graph, every firing in order, and what was declined in the end."""

    model: ir.Model
    firings: tuple[Firing, ...]
    refusals: tuple[Refusal, ...]
    dropped: tuple[Dropped, ...] = ()
    """The rules that it had to do without."""

    def counts(self) -> dict[str, int]:
        """How often each rule fired, in the order of the rules."""
        fired = Counter(firing.rule for firing in self.firings)
        return {rule.name: fired[rule.name] for rule in (*RULES, *ALTERNATIVES) if fired[rule.name]}


def kept(dropped: Sequence[Dropped]) -> tuple[Rule, ...]:
    """RULES without those that were dropped."""
    return tuple(rule for rule in RULES if rule.name not in {one.rule for one in dropped})


def first_breaking(firings: Sequence[Firing], stands: Callable[[int], bool]) -> Firing | None:
    """The firing from which on the graph stands no longer; None where it does with all of them.

    `stands` says whether it does with the first so many of them, as it does with none.
    """
    count = bisect_left(range(len(firings) + 1), True, lo=1, key=lambda some: not stands(some))
    return firings[count - 1] if count <= len(firings) else None


def optimise(
    model: ir.Model, rules: Sequence[Rule] = RULES, limit: int | None = None, plan: Plan | None = None
) -> Optimised:
    """The model with the rules applied, at most `limit` times where given; the input is left as it is.

    A rule is tried only where all rules before it have come to rest, so a later one may count on that.
    `plan` says which of several exact forms a place takes; without one it is the CPU's table.
    """
    plan = plan or Plan()
    optimised = model.clone()
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(optimised)
    RemoveUnusedNodesPass()(optimised)  # or what nobody reads would count as a reader
    most = FIRINGS_PER_NODE * (optimised.graph.num_nodes() + 1)
    applied = _Applied(optimised.graph, plan, most if limit is None else min(most, limit))
    applied.until_rest(rules)
    if alternatives := plan.alternatives():
        # Some rules would turn these forms back, so from here on only the layout is looked at again.
        applied.until_rest((*alternatives, *(rule for rule in rules if rule.name in LAYOUT)))
    RemoveUnusedNodesPass()(optimised)
    NameFixPass()(optimised)
    return Optimised(optimised, tuple(applied.firings), tuple(applied.refusals))


class _Applied:
    """A graph that rules are applied to, at most `most` times."""

    def __init__(self, graph: ir.Graph, plan: Plan, most: int) -> None:
        self._graph, self._plan, self._most = graph, plan, most
        self.firings: list[Firing] = []
        self.refusals: dict[Refusal, None] = {}

    def until_rest(self, rules: Sequence[Rule]) -> None:
        """None of the rules fires any more; `refusals` gains what they declined in the end."""
        declined: list[Refusal] = []
        place = 0
        while place < len(rules):
            fired, refused = self._walk(rules[place])
            declined = [*declined, *refused] if not fired else []
            place = 0 if fired else place + 1
        self.refusals |= dict.fromkeys(declined)

    def _walk(self, rule: Rule) -> tuple[bool, list[Refusal]]:
        """One walk of one rule over the graph: whether it fired, and what it declined."""
        before = len(self.firings)
        refusals: list[Refusal] = []
        for node in self._graph:
            if len(self.firings) >= self._most:
                break
            if node.domain or node.op_type not in rule.operators or node.graph is not self._graph:
                continue
            if not self._plan.allows(rule, node):
                continue
            layer, value = layer_of(node), node.outputs[0].name or ""
            outcome = rule.rewrite(node)
            if isinstance(outcome, Fired):
                self.firings.append(Firing(rule.name, layer, value))
            elif isinstance(outcome, Declined):
                refusals.append(Refusal(rule.name, layer, outcome.reason))
        return len(self.firings) > before, refusals
