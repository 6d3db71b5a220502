"""The catalogue: every activation with its formula, parameters, fixed points and source."""

import inspect
import re
from dataclasses import dataclass

from adaptive_act.activation import Activation
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.learned import Learned


@dataclass(frozen=True, slots=True)
class Entry:
    """One activation, as its class declares it."""

    name: str
    formula: str
    """The formula, in Unicode."""
    summary: str
    """What it is, in a few words."""
    learned: dict[str, Learned]
    """The learned parameters: where each starts, and whether it stays above zero."""
    equals: tuple[str, ...]
    """The plain torch activations at which it has a fixed point."""
    operators: tuple[str, ...]
    """The ONNX operators that it exports to: shared parameters, float32, default opset."""
    elementwise: bool
    """Whether each output depends on the one input at its place."""
    source: str


def catalogue() -> tuple[Entry, ...]:
    """Every activation of this package, in alphabetical order whatever the case."""
    return tuple(_make_entry(name, ACTIVATIONS[name]) for name in sorted(ACTIVATIONS, key=str.lower))


def _make_entry(name: str, kind: type[Activation]) -> Entry:
    text = inspect.cleandoc(kind.__doc__ or "")
    formula, _, summary = text.splitlines()[0].rpartition(": ")
    source = re.search(r"^Source: (.*?)(\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return Entry(
        name=name,
        formula=formula,
        summary=summary.removesuffix("."),
        learned=dict(kind.learned),
        equals=tuple(plain.__name__ for plain in kind.fixed_points),
        operators=kind.onnx_ops,
        elementwise=kind.elementwise,
        source=" ".join(source[1].split()) if source else "",
    )
