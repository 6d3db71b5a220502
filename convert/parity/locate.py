"""The culprit when a file fails: the rewrite rule, or the first module whose values differ."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from convert.artefact.external import LARGEST, weights
from convert.artefact.file import serialise, write
from convert.errors import ExportError
from convert.graph.nodes import layer_of
from convert.graph.rule import Rule
from convert.model_io.runtime import Session
from convert.model_io.samples import Array, SampleSet
from convert.parity.criterion import Run, compare, scales
from convert.parity.verify import Culprit, Original, run_set
from convert.rewriting.optimise import Firing, first_breaking, optimise
from convert.rewriting.plan import Plan
from convert.rules import RULES


@dataclass(frozen=True, slots=True)
class Suspects:
    """What `culprit` looks at: the model, the graph as exported, and the rules that fired on it."""

    original: Original
    exported: ir.Model
    firings: tuple[Firing, ...]
    rules: Sequence[Rule] = RULES
    plan: Plan | None = None

    def culprit(self, samples: SampleSet, output: str) -> Culprit:
        """What names what first differs on these samples."""
        if not self._passes(0, samples, output):
            return Culprit(_first_module(self, samples))
        firing = first_breaking(self.firings, lambda count: self._passes(count, samples, output))
        if firing is None:
            return Culprit("the difference does not show when these samples are run alone")
        where = f"`{firing.layer}` ({self.kind(firing.layer)})"
        return Culprit(f"first differing after rule `{firing.rule}` at {where}", firing.rule)

    def _passes(self, firings: int, samples: SampleSet, output: str) -> bool:
        graph = optimise(self.exported, self.rules, firings, self.plan).model
        session = Session(serialise(graph), [value.name or "" for value in graph.graph.inputs])
        run = run_set(self.original, session, samples)
        return compare(run, output, scales([run])[output]).passed

    def kind(self, layer: str) -> str:
        """The class of the module with this name."""
        modules = dict(self.original.float32.named_modules())
        return type(modules[layer]).__name__ if layer in modules else "no module of its own"


def _first_module(suspects: Suspects, samples: SampleSet) -> str:
    """The module after the last one that agrees: one fused with its successor does not agree on its own."""
    agreed = _agreement(suspects, samples)
    last = max((place for place, (_, same) in enumerate(agreed) if same), default=-1)
    if last + 1 >= len(agreed):
        return "no module differs on its own: the difference lies in what stands between the modules"
    name = agreed[last + 1][0]
    return f"first differing layer: `{name}` ({suspects.kind(name)})"


def _agreement(suspects: Suspects, samples: SampleSet) -> list[tuple[str, bool]]:
    """Each module that the graph has a value of, in the order they ran, and whether that value agrees."""
    wide = module_outputs(suspects.original.float64, suspects.original.reference, samples.arrays)
    own = module_outputs(suspects.original.float32, suspects.original.own, samples.arrays)
    file = _graph_values(suspects.exported, set(own), samples.arrays)
    results = []
    for name, values in wide.items():
        if name in file and file[name].shape == values.shape:
            run = Run(name, 1, samples.typical, True, {name: values}, [{name: own[name]}], {name: file[name]})
            results.append((name, compare(run, name, scales([run])[name]).passed))
    return results


def module_outputs(
    model: nn.Module, run: Callable[[Sequence[Array]], object], arrays: Sequence[Array]
) -> dict[str, Array]:
    """What each innermost module returned, where that is one tensor, by name and in order."""
    outputs: dict[str, Array] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, given: object, result: object) -> None:
            if isinstance(result, Tensor):
                outputs[name] = result.detach().numpy().copy()

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in model.named_modules()
        if isinstance(module, Activation) or not list(module.children())
    ]
    try:
        with torch.no_grad():
            run(arrays)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _graph_values(exported: ir.Model, modules: set[str], arrays: Sequence[Array]) -> dict[str, Array]:
    """The graph's last value of each module, by the module's name."""
    watched = exported.clone()
    last = {layer_of(node): node.outputs[0] for node in watched.graph if layer_of(node) in modules}
    results = [value for value in watched.graph.outputs]
    watched.graph.outputs.extend(value for value in last.values() if value not in results)
    session = Session(serialise(watched), [value.name or "" for value in watched.graph.inputs])
    found = session.run(arrays)
    return {module: found[value.name] for module, value in last.items() if value.name in found}


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
