"""The culprit of failed parity: the rewrite rule, or the first module whose values differ."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.artefact.file import serialise, write_model
from convert.errors import ExportError
from convert.graph.nodes import get_layer_name
from convert.graph.rule import Rule
from convert.model_io.array import Array
from convert.model_io.forward import ArrayModel
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.criterion import Run, compare, measure_scales
from convert.parity.verify import Culprit, Original, run_set
from convert.rewriting.optimise import Firing, find_breaking, optimise
from convert.rewriting.plan import FormPlan
from convert.rules import RULES

_BEFORE_RULES = (
    "the graph differs before any rule changes it; if --factory names the model, was the file made from "
    "that one?"
)


@dataclass(frozen=True, slots=True)
class CulpritSearch:
    """Looks for the culprit in the model, the graph as exported, and the rules that fired on it."""

    original: Original
    exported: ir.Model
    firings: tuple[Firing, ...]
    rules: Sequence[Rule] = RULES
    plan: FormPlan | None = None

    def find(self, samples: SampleSet, output: str) -> Culprit:
        """The rule or module that differs first on these samples."""
        if not self._passes(0, samples, output):
            if isinstance(self.original.float32, ArrayModel):
                return Culprit(_BEFORE_RULES)
            return Culprit(_describe_first_module(self, samples))
        firing = find_breaking(self.firings, lambda count: self._passes(count, samples, output))
        if firing is None:
            return Culprit("the difference does not show when these samples are run alone")
        where = f"`{firing.layer}` ({self.describe_kind(firing.layer)})"
        return Culprit(f"first differing after rule `{firing.rule}` at {where}", firing.rule)

    def _passes(self, firings: int, samples: SampleSet, output: str) -> bool:
        graph = optimise(self.exported, self.rules, firings, self.plan).model
        session = Session(serialise(graph), [value.name or "" for value in graph.graph.inputs])
        run = run_set(self.original, session, samples)
        return compare(run, output, measure_scales([run])[output]).passed

    def describe_kind(self, layer: str) -> str:
        """The class of the module with this name."""
        modules = dict(self.original.float32.named_modules())
        return type(modules[layer]).__name__ if layer in modules else "no module of its own"


def _describe_first_module(search: CulpritSearch, samples: SampleSet) -> str:
    """The module after the last one that agrees: a module fused with the next does not agree alone."""
    agreed = _compare_modules(search, samples)
    last = max((place for place, (_, same) in enumerate(agreed) if same), default=-1)
    if last + 1 >= len(agreed):
        return "no module differs on its own: the difference lies in what stands between the modules"
    name = agreed[last + 1][0]
    return f"first differing layer: `{name}` ({search.describe_kind(name)})"


def _compare_modules(search: CulpritSearch, samples: SampleSet) -> list[tuple[str, bool]]:
    """Each module that the graph has a value of, in the order they ran, and whether that value agrees."""
    wide = record_module_outputs(search.original.float64, search.original.run_float64, samples.arrays)
    own = record_module_outputs(search.original.float32, search.original.run_float32, samples.arrays)
    file = _run_to_modules(search.exported, set(own), samples.arrays)
    results = []
    for name, values in wide.items():
        if name in file and file[name].shape == values.shape:
            run = Run(name, 1, samples.typical, True, {name: values}, [{name: own[name]}], {name: file[name]})
            results.append((name, compare(run, name, measure_scales([run])[name]).passed))
    return results


def record_module_outputs(
    model: nn.Module, run: Callable[[Sequence[Array]], object], arrays: Sequence[Array]
) -> dict[str, Array]:
    """The result of each innermost module, where that is one tensor, by name in the order they ran."""
    outputs: dict[str, Array] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, result: object) -> None:
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


def _run_to_modules(exported: ir.Model, modules: set[str], arrays: Sequence[Array]) -> dict[str, Array]:
    """The graph's last value of each module, by the module's name."""
    watched = exported.clone()
    last = {
        get_layer_name(node): node.outputs[0] for node in watched.graph if get_layer_name(node) in modules
    }
    outputs = list(watched.graph.outputs)
    watched.graph.outputs.extend(value for value in last.values() if value not in outputs)
    session = Session(serialise(watched), [value.name or "" for value in watched.graph.inputs])
    values = session.run(arrays)
    return {module: values[value.name] for module, value in last.items() if value.name in values}


def find_refused_rule(
    exported: ir.Model, rules: Sequence[Rule], plan: FormPlan, sets: Sequence[SampleSet], provider: str
) -> str | None:
    """The first rule after which the graph cannot be run on these samples, such as for want of a kernel.

    None where the graph cannot be run without the rules either, or can with all of them, or is too large to
    try.
    """
    if count_weight_bytes(exported) > LARGEST:
        return None

    def can_run(count: int) -> bool:
        return _can_run(optimise(exported, rules, count, plan).model, sets, provider)

    firings = optimise(exported, rules, plan=plan).firings
    firing = find_breaking(firings, can_run) if can_run(0) else None
    return None if firing is None else firing.rule


def _can_run(graph: ir.Model, sets: Sequence[SampleSet], provider: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        try:
            write_model(file, serialise(graph))
            session = Session(file, [value.name or "" for value in graph.graph.inputs], provider)
            for samples in sets:
                session.run(samples.arrays)
        except ExportError:
            return False
    return True


def skip_search(samples: SampleSet, output: str) -> Culprit:
    """For a model whose layers take too long to compare."""
    return Culprit("the model is too large to look for the layer that differs")
