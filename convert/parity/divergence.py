"""Where a finished file leaves the model: the first layer that computes something else.

A finished file says nothing of modules. A second conversion of the same model does, and where the two have
values of the same names, the first of them that differs is the culprit's. Of a file that was made otherwise,
what each module computes is looked for among all values, by its numbers: a layer that is one with the next in
the file, such as a convolution and its normalisation, has no value of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.graph.nodes import layer_of
from convert.model_io.runtime import Array, Session
from convert.model_io.samples import SampleSet
from convert.parity.criterion import Run, compare, scales
from convert.parity.locate import module_outputs
from convert.parity.verify import Original, beside

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Computed:
    """What one module gave: in float64, and in float32 on the samples and beside them; are those typical?"""

    reference: Array
    originals: tuple[Array, ...]
    typical: bool


def first_difference(original: Original, file: ir.Model, good: ir.Model | None, samples: SampleSet) -> str:
    """One line that names the first layer that differs on these samples, and the file's weights that do.

    `good` is a conversion of the same model that passes parity, None where there is none.
    """
    group = [] if good is None else _by_name(file, good, samples)
    if not 0 < len(group) <= MOST_NAMED:
        group = _by_numbers(original, file, good, samples) or group
    return _said(original, group) + _weights(file, good)


def _said(original: Original, group: Sequence[str]) -> str:
    kinds = {name: type(module).__name__ for name, module in original.float32.named_modules()}
    named = [f"`{name}` ({kinds.get(name, 'between modules')})" for name in group]
    if not named:
        return "no layer differs on its own: the difference lies in what stands between them"
    if len(named) > MOST_NAMED:
        return f"first differing layer: one of {named[0]} to {named[-1]}"
    return f"first differing layer: {' or '.join(named)}"


def _by_name(file: ir.Model, good: ir.Model, samples: SampleSet) -> list[str]:
    """The layer of the first value that differs though none that it is made of does; before it, the layers
    of those that it is made of and that the file does not have.
    """
    ours, theirs = _values(file, samples), _values(good, samples)
    same = {
        name: ours[name].shape == value.shape and _close(ours[name], value)
        for name, value in theirs.items()
        if name in ours
    }
    for node in good.graph:
        made = [same.get(value.name or "") for value in node.outputs]
        read = [same.get(value.name or "") for value in node.inputs if value is not None]
        if False in made and False not in read:
            found = [*_absent(node, same), node]
            return list(dict.fromkeys(layer_of(one) for one in found))
    return []


def _absent(node: ir.Node, same: Mapping[str, bool]) -> list[ir.Node]:
    """The nodes on whose outputs `node` rests and that the file has no value of, in order."""
    found: dict[ir.Node, None] = {}
    waiting = [node]
    while waiting:
        for value in waiting.pop().inputs:
            producer = None if value is None or value.name in same else value.producer()
            if producer is not None and producer not in found:
                found[producer] = None
                waiting.append(producer)
    return [one for one in node.graph or () if one in found]


def _close(ours: Array, theirs: Array) -> bool:
    """Whether two runs of the same operators agree, up to a few roundings of the largest number."""
    scale = np.abs(np.where(np.isfinite(theirs), theirs, 0)).max(initial=0.0)
    return bool(
        np.allclose(ours, theirs, rtol=0, atol=16 * np.finfo(theirs.dtype).eps * scale, equal_nan=True)
    )


def _by_numbers(original: Original, file: ir.Model, good: ir.Model | None, samples: SampleSet) -> list[str]:
    computed = _computed(original, samples)
    names = list(computed)
    held = _held(computed, file, samples)
    if good is not None:
        return _first_missing(names, held, _held(computed, good, samples))
    place = max((place for place, name in enumerate(names) if name in held), default=-1) + 1
    return names[place : place + 1]


def _first_missing(names: Sequence[str], held: set[str], expected: set[str]) -> list[str]:
    """The first that a good file holds and this one does not, after those that neither holds on its own."""
    place = next((place for place, name in enumerate(names) if name in expected - held), None)
    if place is None:
        # Nothing that a file holds differs: what comes after the last of them does.
        place = len(names) - 1
        if not names or names[-1] in held:
            return []
    before = max((at for at in range(place) if names[at] in expected), default=-1)
    return list(names[before + 1 : place + 1])


def _computed(original: Original, samples: SampleSet) -> dict[str, Computed]:
    wide = module_outputs(original.float64, original.reference, samples.arrays)
    runs = [samples.arrays, *(beside(samples.arrays, seed) for seed in range(2))]
    own = [module_outputs(original.float32, original.own, arrays) for arrays in runs]
    return {
        name: Computed(values, tuple(found[name] for found in own), samples.typical)
        for name, values in wide.items()
        if name and values.size and values.dtype.kind == "f" and all(name in found for found in own)
    }


def _held(computed: Mapping[str, Computed], file: ir.Model, samples: SampleSet) -> set[str]:
    """The modules whose numbers stand among the file's values."""
    by_shape: dict[tuple[int, ...], list[Array]] = {}
    for value in _values(file, samples).values():
        by_shape.setdefault(value.shape, []).append(value)
    return {
        name
        for name, one in computed.items()
        if any(_agrees(one, value) for value in by_shape.get(one.reference.shape, []))
    }


def _agrees(one: Computed, value: Array) -> bool:
    run = Run(
        "", 1, one.typical, True, {"": one.reference}, [{"": own} for own in one.originals], {"": value}
    )
    return compare(run, "", scales([run])[""]).passed


def _values(file: ir.Model, samples: SampleSet) -> dict[str, Array]:
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
    except ExportError:  # the file cannot be run as it stands, so that nothing of it agrees
        return {}


def _weights(file: ir.Model, good: ir.Model | None) -> str:
    """Which constants differ between two conversions of one model; nothing where they are not of one form."""
    if good is None:
        return ""
    ours, theirs = _constants(file), _constants(good)
    changed = [name for name in theirs if name in ours and not _equal(ours[name], theirs[name])]
    if not changed or len(changed) > MOST_NAMED or set(ours) != set(theirs):
        return ""
    return f"; not the model's in the file: {', '.join(f'`{name}`' for name in changed)}"


def _constants(graph: ir.Model) -> dict[str, Array]:
    return {
        name: value.const_value.numpy()
        for name, value in graph.graph.initializers.items()
        if value.const_value is not None
    }


def _equal(one: Array, other: Array) -> bool:
    return one.shape == other.shape and np.array_equal(one, other)
