"""What a rule is: a rewrite of one node and its neighbours that computes the same numbers more cheaply."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True, slots=True)
class Fired:
    """The rule changed the graph."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The node looks like one for this rule, and the rule would not be exact, or not pay, for this reason."""

    reason: str


FIRED = Fired()
Outcome = Fired | Declined | None
"""What became of one node; None where the rule has nothing to say about it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewrite, tried at every node of the named operators; a rule declines, it never raises."""

    name: str
    operators: tuple[str, ...]
    rewrite: Callable[[ir.Node], Outcome]
    is_exact: bool = False
    """The result has the very same bits, so that the rule may also be applied before a step."""
    changes_inputs: bool = False
    """It also changes a value that the node and others read."""
