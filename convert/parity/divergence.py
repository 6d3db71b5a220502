"""The first layer of a finished file that computes something else than the model.

A finished file does not name modules. A second conversion of the same model does: where the two have values
of the same names, the first value that differs shows the layer. In any other file, each module's result is
looked for among all values, by its numbers. A layer that is fused with the next in the file, such as a
convolution and its normalisation, has no value of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.nodes import get_layer_name
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.criterion import Run, compare, measure_scales
from convert.parity.locate import record_module_outputs
from convert.parity.nudge import nudge
from convert.parity.verify import Original

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class ModuleOutput:
    """The result of one module in float64, and in float32 on the samples and on nudged ones."""

    reference: Array
    originals: tuple[Array, ...]
    typical: bool
    """Whether the samples are."""


def find_first_difference(
    original: Original, file: ir.Model, good: ir.Model | None, samples: SampleSet
) -> str:
    """One line that names the first layer that differs on these samples, and the file's weights that do.

    `good` is a conversion of the same model that passes parity, None where there is none.
    """
    layers = [] if good is None else _compare_by_name(file, good, samples)
    if not 0 < len(layers) <= MOST_NAMED:
        layers = _compare_by_numbers(original, file, good, samples) or layers
    return _describe_layers(original, layers) + _describe_weights(file, good)


def _describe_layers(original: Original, layers: Sequence[str]) -> str:
    kinds = {name: type(module).__name__ for name, module in original.float32.named_modules()}
    named = [f"`{name}` ({kinds.get(name, 'between modules')})" for name in layers]
    if not named:
        return "no layer differs on its own: the difference lies in what stands between them"
    if len(named) > MOST_NAMED:
        return f"first differing layer: one of {named[0]} to {named[-1]}"
    return f"first differing layer: {' or '.join(named)}"


def _compare_by_name(file: ir.Model, good: ir.Model, samples: SampleSet) -> list[str]:
    """The layer of the first value that differs though none of its inputs does.

    Before it stand the layers of inputs that the file has no value of.
    """
    ours, theirs = _run_all_values(file, samples), _run_all_values(good, samples)
    same = {
        name: ours[name].shape == value.shape and _is_close(ours[name], value)
        for name, value in theirs.items()
        if name in ours
    }
    for node in good.graph:
        made = [same.get(value.name or "") for value in node.outputs]
        read = [same.get(value.name or "") for value in node.inputs if value is not None]
        if False in made and False not in read:
            nodes = [*_find_absent(node, same), node]
            return list(dict.fromkeys(get_layer_name(node) for node in nodes))
    return []


def _find_absent(node: ir.Node, same: Mapping[str, bool]) -> list[ir.Node]:
    """The nodes that `node` depends on and that the file has no value of, in order."""
    absent: set[ir.Node] = set()
    waiting = [node]
    while waiting:
        for value in waiting.pop().inputs:
            producer = None if value is None or value.name in same else value.producer()
            if producer is not None and producer not in absent:
                absent.add(producer)
                waiting.append(producer)
    return [other for other in node.graph or () if other in absent]


def _is_close(ours: Array, theirs: Array) -> bool:
    """Whether two runs of the same operators agree, up to a few roundings of the largest number."""
    if theirs.dtype.kind != "f":
        return np.array_equal(ours, theirs)
    scale = np.abs(np.where(np.isfinite(theirs), theirs, 0)).max(initial=0.0)
    return bool(
        np.allclose(ours, theirs, rtol=0, atol=16 * np.finfo(theirs.dtype).eps * scale, equal_nan=True)
    )


def _compare_by_numbers(
    original: Original, file: ir.Model, good: ir.Model | None, samples: SampleSet
) -> list[str]:
    modules = _run_modules(original, samples)
    names = list(modules)
    held = _find_held(modules, file, samples)
    if good is not None:
        return _find_first_missing(names, held, _find_held(modules, good, samples))
    place = max((place for place, name in enumerate(names) if name in held), default=-1) + 1
    return names[place : place + 1]


def _find_first_missing(names: Sequence[str], held: set[str], expected: set[str]) -> list[str]:
    """The first module that only the good file holds, after those just before it that neither file holds."""
    place = next((place for place, name in enumerate(names) if name in expected - held), None)
    if place is None:
        # Nothing that a good file holds differs, so the difference comes after the last of them.
        place = len(names) - 1
        if not names or names[-1] in held:
            return []
    before = max((at for at in range(place) if names[at] in expected), default=-1)
    return list(names[before + 1 : place + 1])


def _run_modules(original: Original, samples: SampleSet) -> dict[str, ModuleOutput]:
    wide = record_module_outputs(original.float64, original.run_float64, samples.arrays)
    runs = [samples.arrays, *(nudge(samples.arrays, seed) for seed in range(2))]
    own = [record_module_outputs(original.float32, original.run_float32, arrays) for arrays in runs]
    return {
        name: ModuleOutput(values, tuple(outputs[name] for outputs in own), samples.typical)
        for name, values in wide.items()
        if name and values.size and values.dtype.kind == "f" and all(name in outputs for outputs in own)
    }


def _find_held(modules: Mapping[str, ModuleOutput], file: ir.Model, samples: SampleSet) -> set[str]:
    """The modules whose numbers stand among the file's values."""
    by_shape: dict[tuple[int, ...], list[Array]] = {}
    for value in _run_all_values(file, samples).values():
        by_shape.setdefault(value.shape, []).append(value)
    return {
        name
        for name, output in modules.items()
        if any(_is_same_output(output, value) for value in by_shape.get(output.reference.shape, []))
    }


def _is_same_output(output: ModuleOutput, value: Array) -> bool:
    originals = [{"": own} for own in output.originals]
    run = Run("", 1, output.typical, True, {"": output.reference}, originals, {"": value})
    return compare(run, "", measure_scales([run])[""]).passed


def _run_all_values(file: ir.Model, samples: SampleSet) -> dict[str, Array]:
    """Every floating point value of the graph on these samples, by name."""
    watched = file.clone()
    outputs = list(watched.graph.outputs)
    watched.graph.outputs.extend(
        value
        for node in watched.graph
        for value in node.outputs
        if value not in outputs and value.dtype is not None and value.dtype.is_floating_point()
    )
    names = [value.name or "" for value in watched.graph.inputs]
    try:
        return Session(serialise(watched), names).run(samples.arrays)
    except ExportError:  # the file cannot be run like this, so nothing in it agrees
        return {}


def _describe_weights(file: ir.Model, good: ir.Model | None) -> str:
    """The constants that differ between two conversions of a model; empty where the graphs are not alike."""
    if good is None:
        return ""
    ours, theirs = _read_constants(file), _read_constants(good)
    changed = [name for name in theirs if name in ours and not _is_equal(ours[name], theirs[name])]
    if not changed or len(changed) > MOST_NAMED or set(ours) != set(theirs):
        return ""
    return f"; not the model's in the file: {', '.join(f'`{name}`' for name in changed)}"


def _read_constants(graph: ir.Model) -> dict[str, Array]:
    return {
        name: value.const_value.numpy()
        for name, value in graph.graph.initializers.items()
        if value.const_value is not None
    }


def _is_equal(array: Array, other: Array) -> bool:
    return array.shape == other.shape and np.array_equal(array, other)
