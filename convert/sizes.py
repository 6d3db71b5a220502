"""Whether a graph holds for every size that was left free, as the model does.

torch traces one size. Where the code asks how large an input is, it follows the branch of that size alone,
and notes for which sizes that is the one. No run at one size, and no run at two, shows what lies beyond.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.export import ExportedProgram

from convert.errors import ExportError
from convert.inputs import InputSpec


def require_every_size(program: ExportedProgram, model: nn.Module, inputs: Sequence[InputSpec]) -> None:
    """Raises ExportError where the program is bound to a range of a free size, and the model is not."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    for spec, name in zip(inputs, program.graph_signature.user_inputs, strict=True):
        for axis, (wanted, size) in enumerate(zip(spec.shape, values[str(name)].shape, strict=True)):
            if not isinstance(wanted, str) or isinstance(size, int):
                continue
            for limit, beyond in _limits(program.range_constraints.get(size.node.expr)):
                if _takes(model, inputs, {wanted: beyond}):
                    raise ExportError(
                        f"the model branches on size `{wanted}` (axis {axis} of input `{spec.name}`): its "
                        f"graph would hold {limit} only, and it takes {beyond} too",
                        hint="give the size as a number in --input, or rewrite the code that asks for "
                        f"shape[{axis}] so that it does the same for every size",
                    )


def _limits(found: Any) -> Iterator[tuple[str, int]]:
    """Where the range ends, in words, and the first size beyond, for each end that it has."""
    if found is None:
        return
    if found.lower > 1:
        yield f"from {found.lower}", int(found.lower) - 1
    if found.upper.is_Integer:  # and not infinite
        yield f"up to {found.upper}", int(found.upper) + 1


def _takes(model: nn.Module, inputs: Sequence[InputSpec], sizes: Mapping[str, int]) -> bool:
    """Whether the model runs at these sizes; nothing is computed, so that none is too large to try."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            model(*(torch.empty(spec.sized(sizes), dtype=getattr(torch, spec.dtype)) for spec in inputs))
    except Exception:  # noqa: BLE001  # a stranger's code may raise anything
        return False
    return True


def require_free_sizes(model: ir.Model, inputs: Sequence[InputSpec]) -> None:
    """Raises ExportError where the graph has a number in place of a free size."""
    for spec, value in zip(inputs, model.graph.inputs, strict=True):
        shape = value.shape or ()
        for axis, (wanted, got) in enumerate(zip(spec.shape, shape, strict=True)):
            if isinstance(wanted, str) and isinstance(got, int):
                raise ExportError(
                    f"the model fixes size `{wanted}` (axis {axis} of input `{spec.name}`) to {got}",
                    hint=f"give the size as a number, or rewrite the code that reads shape[{axis}] as one",
                )
