"""Names the rule after which ONNX Runtime, or the ONNX checker, takes the graph no longer."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from convert.artefact.external import LARGEST, weights
from convert.artefact.file import serialise, write
from convert.errors import ExportError
from convert.optimise import first_breaking, optimise
from convert.parity.samples import SampleSet
from convert.rewriting.rule import Rule
from convert.runtime import Session
from convert.tuning.plan import Plan


def refused(
    exported: ir.Model, rules: Sequence[Rule], plan: Plan, sets: Sequence[SampleSet], provider: str
) -> str | None:
    """The rule after which the graph can be run on these samples no longer, such as for want of a kernel.

    None where it cannot even without the rules, or can with them all, or is too large to be tried.
    """
    if weights(exported) > LARGEST:
        return None

    def stands(count: int) -> bool:
        return _runs(optimise(exported, rules, count, plan).model, sets, provider)

    firings = optimise(exported, rules, plan=plan).firings
    firing = first_breaking(firings, stands) if stands(0) else None
    return None if firing is None else firing.rule


def _runs(graph: ir.Model, sets: Sequence[SampleSet], provider: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        try:
            write(file, serialise(graph))
            session = Session(file, [value.name or "" for value in graph.graph.inputs], provider)
            for samples in sets:
                session.run(samples.arrays)
        except ExportError:
            return False
    return True
