"""Applies the rewrite rules until none fires: the same numbers, computed more cheaply."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import (
    LiftConstantsToInitializersPass,
    NameFixPass,
    RemoveUnusedNodesPass,
)

from convert.rewriting.graph import layer_of
from convert.rewriting.rule import Declined, Fired, Rule
from convert.rules import RULES

# Every firing removes or finally lowers a node, so rules come to rest; this bounds a pair that would not.
FIRINGS_PER_NODE = 5


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule at one place: `layer` is the module that the node came from."""

    rule: str
    layer: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that looked at a node and left it alone, and why."""

    rule: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule that the graph was rewritten without, because it broke parity, and by how much."""

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
        return {rule.name: fired[rule.name] for rule in RULES if fired[rule.name]}


def kept(dropped: Sequence[Dropped]) -> tuple[Rule, ...]:
    """RULES without those that were dropped."""
    return tuple(rule for rule in RULES if rule.name not in {one.rule for one in dropped})


def optimise(model: ir.Model, rules: Sequence[Rule] = RULES, limit: int | None = None) -> Optimised:
    """The model with the rules applied, at most `limit` times where given; the input is left as it is.

    A rule is tried only where all rules before it have come to rest, so a later one may count on that.
    """
    optimised = model.clone()
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(optimised)
    RemoveUnusedNodesPass()(optimised)  # or what nobody reads would count as a reader
    bound = FIRINGS_PER_NODE * (optimised.graph.num_nodes() + 1)
    firings: list[Firing] = []
    refusals: dict[Refusal, None] = {}
    resting = False
    while not resting:
        refusals.clear()
        resting = True
        for rule in rules:
            room = min(bound, bound if limit is None else limit) - len(firings)
            fired, declined = _apply(rule, optimised.graph, room)
            firings += fired
            refusals |= dict.fromkeys(declined)
            if fired:
                resting = False
                break
    RemoveUnusedNodesPass()(optimised)
    NameFixPass()(optimised)
    return Optimised(optimised, tuple(firings), tuple(refusals))


def _apply(rule: Rule, graph: ir.Graph, room: int) -> tuple[list[Firing], list[Refusal]]:
    """One walk of one rule over the graph, stopped after `room` firings."""
    firings: list[Firing] = []
    refusals: list[Refusal] = []
    for node in graph:
        if len(firings) >= room:
            break
        if node.domain or node.op_type not in rule.operators or node.graph is not graph:
            continue
        layer = layer_of(node)
        outcome = rule.rewrite(node)
        if isinstance(outcome, Fired):
            firings.append(Firing(rule.name, layer))
        elif isinstance(outcome, Declined):
            refusals.append(Refusal(rule.name, layer, outcome.reason))
    return firings, refusals
