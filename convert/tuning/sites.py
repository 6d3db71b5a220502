"""The places of a graph that have several exact forms, in groups of like ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from convert.graph.nodes import get_layer_name
from convert.graph.rule import Rule
from convert.rewriting.optimise import Firing, optimise
from convert.rewriting.plan import KINDS, UNCHANGED, FormPlan, Place, PlaceKind


@dataclass(frozen=True, slots=True)
class FormSite:
    """One place: its module, its surroundings, and how many numbers it computes."""

    kind: PlaceKind
    value: str
    layer: str
    where: str = ""
    numbers: int = 0

    @property
    def place(self) -> Place:
        """Its key in a plan."""
        return self.kind.name, self.value


@dataclass(frozen=True, slots=True)
class SiteGroup:
    """Sites of one kind with like surroundings: one form is likely to be the fastest at all of them."""

    kind: PlaceKind
    where: str
    sites: tuple[FormSite, ...]

    @property
    def numbers(self) -> int:
        """How many numbers they compute together."""
        return sum(site.numbers for site in self.sites)


def group_sites(exported: ir.Model, rules: Sequence[Rule], forms: Mapping[str, str]) -> tuple[SiteGroup, ...]:
    """The groups of a graph, first those that compute the most; `forms` are the provider's defaults."""
    sites: dict[Place, FormSite] = {}
    for revealing in (_unchanged_forms(forms), {**forms, **_revealing_forms()}):
        optimised = optimise(exported, rules, plan=FormPlan(revealing))
        for site in (*_find_operators(optimised.model.graph), *_find_firings(optimised.firings)):
            sites.setdefault(site.place, site)
    alike: dict[tuple[str, str], list[FormSite]] = {}
    for site in sites.values():
        alike.setdefault((site.kind.name, site.where), []).append(site)
    groups = [SiteGroup(members[0].kind, members[0].where, tuple(members)) for members in alike.values()]
    return tuple(sorted(groups, key=lambda group: -group.numbers))


def _unchanged_forms(forms: Mapping[str, str]) -> dict[str, str]:
    """The forms with which every operator that has other forms stays, and all other rules fire."""
    return {**forms, **_revealing_forms(), **{kind.name: UNCHANGED for kind in KINDS if kind.operators}}


def _revealing_forms() -> dict[str, str]:
    """The forms of the kinds whose places only show where the rules fire."""
    return {kind.name: kind.forms[-1] for kind in KINDS if not kind.operators}


def _find_operators(graph: ir.Graph) -> Iterator[FormSite]:
    for node in graph:
        for kind in KINDS:
            if node.op_type in kind.operators and not node.domain:
                output = node.outputs[0]
                sizes = output.shape if output.shape is not None else ()
                numbers = prod(size for size in sizes if isinstance(size, int))
                yield FormSite(
                    kind, output.name or "", get_layer_name(node), _describe_surroundings(node), numbers
                )


def _describe_surroundings(node: ir.Node) -> str:
    """The shape that the node computes, and the operator before it: `image after Conv`."""
    shape = node.outputs[0].shape
    axes = {2: "rows", 4: "image"}.get(len(shape), f"{len(shape)} axes") if shape is not None else "?"
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    return f"{axes} after {source.op_type if source is not None else 'the input'}"


def _find_firings(firings: Sequence[Firing]) -> Iterator[FormSite]:
    kinds = {form: kind for kind in KINDS if not kind.operators for form in kind.forms}
    for firing in firings:
        if firing.rule in kinds:
            yield FormSite(kinds[firing.rule], firing.value, firing.layer)
