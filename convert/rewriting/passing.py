"""A scale or a shift that stands before an operator, written after it instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.rewriting.graph import Array, Edit, only_consumer
from convert.rewriting.linear import NotExactError
from convert.rewriting.rule import FIRED, Declined, Outcome


@dataclass(frozen=True, slots=True)
class Passing:
    """How a constant passes: by which operator it is applied, what it passes, and what it is afterwards."""

    operator: str
    role: str
    passes: Sequence[str]
    after: Callable[[ir.Node, Array], Array]

    def move(self, node: ir.Node, found: tuple[ir.Value, Array] | None) -> Outcome:
        """`found` is (x, the constant) of what `node` computes, None where it applies none."""
        before = node.outputs[0]
        consumer = only_consumer(before)
        if found is None or consumer is None or consumer.domain or consumer.op_type not in self.passes:
            return None
        value, numbers = found
        if before.dtype is None or consumer.inputs[0] is not before:
            return Declined(f"the type of what has the {self.role} is not known")
        try:
            passed = self.after(consumer, numbers)
        except NotExactError as reason:
            return Declined(str(reason))
        edit = Edit(consumer)
        number = edit.constant(passed, before.dtype.numpy(), self.role)
        edit.replace(edit.op(self.operator, edit.again(value, *consumer.inputs[1:]), number))
        return FIRED
