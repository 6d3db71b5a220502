"""The places of a graph that have several exact forms, and which of them are alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from convert.graph.nodes import layer_of
from convert.graph.rule import Rule
from convert.rewriting.optimise import Firing, optimise
from convert.rewriting.plan import KEPT, KINDS, Kind, Place, Plan


@dataclass(frozen=True, slots=True)
class Site:
    """One place: the module that it came from, what stands around it, and how many numbers it computes."""

    kind: Kind
    value: str
    layer: str
    where: str = ""
    numbers: int = 0

    @property
    def place(self) -> Place:
        """Its key in a plan."""
        return self.kind.name, self.value


@dataclass(frozen=True, slots=True)
class Group:
    """Sites of one kind whose surroundings are alike, so that one form is likely to suit them all."""

    kind: Kind
    where: str
    sites: tuple[Site, ...]

    @property
    def numbers(self) -> int:
        """How many numbers they compute together."""
        return sum(site.numbers for site in self.sites)


def groups(exported: ir.Model, rules: Sequence[Rule], forms: Mapping[str, str]) -> tuple[Group, ...]:
    """The groups of a graph, those that compute the most first; `forms` is the provider's table."""
    found: dict[Place, Site] = {}
    for table in (_bare(forms), {**forms, **_written()}):
        optimised = optimise(exported, rules, plan=Plan(table))
        for site in (*_standing(optimised.model.graph), *_fired(optimised.firings)):
            found.setdefault(site.place, site)
    alike: dict[tuple[str, str], list[Site]] = {}
    for site in found.values():
        alike.setdefault((site.kind.name, site.where), []).append(site)
    made = [Group(sites[0].kind, sites[0].where, tuple(sites)) for sites in alike.values()]
    return tuple(sorted(made, key=lambda group: -group.numbers))


def _bare(forms: Mapping[str, str]) -> dict[str, str]:
    """Every operator that has other forms stays itself, and all other rules fire."""
    return {**forms, **_written(), **{kind.name: KEPT for kind in KINDS if kind.operators}}


def _written() -> dict[str, str]:
    """The rules fire that alone show where the places of their kinds are."""
    return {kind.name: kind.forms[-1] for kind in KINDS if not kind.operators}


def _standing(graph: ir.Graph) -> Iterator[Site]:
    for node in graph:
        for kind in KINDS:
            if node.op_type in kind.operators and not node.domain:
                output = node.outputs[0]
                sizes = output.shape if output.shape is not None else ()
                numbers = prod(size for size in sizes if isinstance(size, int))
                yield Site(kind, output.name or "", layer_of(node), _around(node), numbers)


def _around(node: ir.Node) -> str:
    """What is computed there and of what: `image after Conv`."""
    shape = node.outputs[0].shape
    axes = {2: "rows", 4: "image"}.get(len(shape), f"{len(shape)} axes") if shape is not None else "?"
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    return f"{axes} after {source.op_type if source is not None else 'the input'}"


def _fired(firings: Sequence[Firing]) -> Iterator[Site]:
    kinds = {form: kind for kind in KINDS if not kind.operators for form in kind.forms}
    for firing in firings:
        if firing.rule in kinds:
            yield Site(kinds[firing.rule], firing.value, firing.layer)
