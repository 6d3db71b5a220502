"""The free sizes that a model is tried at besides the usual ones, and what to do if the file fails there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import FREE_SIZE, InputSpec, assign_batch, share_size_bounds

_NUMBERS = "give the sizes as numbers in --input, or rewrite the code that asks for them"


@dataclass(frozen=True, slots=True)
class OtherSizes:
    """Numbers for some of the free sizes."""

    sizes: Mapping[str, int]
    bounds: SizeBounds | None = None
    """Bounds that leave them out, if the file is wrong there; None where no bounds would."""
    condition: str = ""
    """The condition of the exporter's graph that they break: `T <= 40`."""


def list_batches(inputs: Sequence[InputSpec], largest: int) -> list[OtherSizes]:
    """The batches of typical samples: the smallest, the next, and a large one; equal ones once."""
    first = inputs[0].free_batch
    smallest = 1 if first is None else inputs[0].get_bounds(first).fit(1)
    batches = [assign_batch(inputs, batch) for batch in (1, smallest + 1, largest)]
    larger = None if first is None else _leave_out_smallest(inputs[0].get_bounds(first))
    distinct = batches if first is None else {tuple(sizes.values()): sizes for sizes in batches}.values()
    return [OtherSizes(sizes, larger if place == 0 else None) for place, sizes in enumerate(distinct)]


def list_other_sizes(inputs: Sequence[InputSpec]) -> list[OtherSizes]:
    """The sizes besides the batch: different ones, twice the usual ones, and both ends of their bounds.

    The smallest come for each size alone, in a batch of two, and for all of them, in a batch of one.
    """
    one, two = assign_batch(inputs, 1), assign_batch(inputs, 2)
    free = {
        size: spec.get_bounds(size)
        for spec in inputs
        for size in spec.shape
        if isinstance(size, str) and size not in one
    }
    if not free:
        return []
    different = {name: bounds.fit(FREE_SIZE + 1 + place) for place, (name, bounds) in enumerate(free.items())}
    twice = {name: bounds.fit(2 * FREE_SIZE) for name, bounds in free.items()}
    others = [OtherSizes(different), OtherSizes(twice)]
    for name, bounds in free.items():
        others.append(OtherSizes(two | {name: bounds.fit(1)}, _leave_out_smallest(bounds)))
        if bounds.high is not None:
            others.append(OtherSizes({name: bounds.fit(bounds.high)}))
    others.append(OtherSizes({name: bounds.fit(1) for name, bounds in free.items()}))
    distinct: dict[frozenset[tuple[str, int]], OtherSizes] = {}
    for other in others:
        sizes = {**one, **other.sizes}
        distinct.setdefault(frozenset(sizes.items()), replace(other, sizes=sizes))
    return list(distinct.values())


def _leave_out_smallest(bounds: SizeBounds) -> SizeBounds | None:
    try:
        return replace(bounds, low=bounds.fit(1) + 1)
    except ValueError:
        return None


def advise_sizes(inputs: Sequence[InputSpec], other: OtherSizes) -> str:
    """What to do if the file is wrong at these sizes."""
    branch = f"the graph is of the branch for `{other.condition}`: " if other.condition else ""
    if other.bounds is None:
        return f"{branch}{_NUMBERS}"
    bounds = other.bounds
    specs = [
        replace(spec, size_bounds=(*spec.size_bounds, bounds)) if bounds.name in spec.shape else spec
        for spec in inputs
    ]
    options = " ".join(f"--input '{spec.text}'" for spec in share_size_bounds(specs))
    return f"{branch}if `{bounds.text}` is enough, say so: {options}"
