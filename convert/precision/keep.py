"""Chooses the sites that stay in float: the fewest with which the gate is passed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.artefact.stored_graph import open_graph
from convert.precision.budgets import Budgets
from convert.precision.gate import Gate, LossReport
from convert.precision.sites import RoundingSite, Scheme

OnStep = Callable[[str, int, int], None]
"""Called with the step, how much of it is done, and the total."""


@dataclass(frozen=True, slots=True)
class FloatSite:
    """A site in float, and the share of the mean squared error that it takes away alone."""

    site: RoundingSite
    share: float
    reason: str = ""
    """Why it stays in float, where that is more than its share."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rounded graph, its losses, and its sites in float; it may fail the gate."""

    model: ir.Model
    losses: LossReport
    kept: tuple[FloatSite, ...]
    ranges_by: str | None = None
    """The way of choosing ranges, where calibration data gave them."""


def keep_fewest(schemes: Sequence[Scheme], gate: Gate, budgets: Budgets, on_progress: OnStep) -> Candidate:
    """The graph with the fewest sites in float that keeps the budgets, the worst sites first.

    With no site in float it is the first scheme's that keeps them; where none does, sites are kept by the
    scheme whose largest error is the least. Where no graph keeps them, the result is the better of the one
    with none and the one with the most in float. Its losses were measured on that very graph.
    """
    tried = []
    for scheme in schemes:
        rounded = _try_sites(scheme, gate, ())
        if not rounded.losses.list_overspent(budgets):
            return rounded
        tried.append((scheme, rounded))
    scheme, rounded = min(tried, key=lambda pair: pair[1].losses.largest)
    ranked = _rank_sites(scheme, rounded.model, gate.make_ranking_gate(), on_progress)
    most = len(ranked)
    while most and not scheme.is_rounding([float_site.site for float_site in ranked[:most]]):
        most -= 1
    if not most:
        return rounded
    best = _try_sites(scheme, gate, ranked[:most])
    if best.losses.list_overspent(budgets):
        return min(rounded, best, key=lambda candidate: candidate.losses.mean_square)
    low, high = 0, most  # with `low` it fails, with `high` it passes
    while high - low > 1:
        middle = (low + high) // 2
        candidate = _try_sites(scheme, gate, ranked[:middle])
        if candidate.losses.list_overspent(budgets):
            low = middle
        else:
            best, high = candidate, middle
    return best


def _rank_sites(scheme: Scheme, rounded: ir.Model, gate: Gate, on_progress: OnStep) -> tuple[FloatSite, ...]:
    """All sites, first the one that takes away most of the error; in `rounded` none is in float."""
    error = _measure(rounded, gate).mean_square
    ranked = []
    for count, site in enumerate(scheme.sites, 1):
        on_progress("rank", count, len(scheme.sites))
        left = _measure(scheme.round([site]), gate).mean_square
        ranked.append(FloatSite(site, 1 - left / error if 0 < error < float("inf") else float(left < error)))
    return tuple(sorted(ranked, key=lambda site: -site.share))


def _try_sites(scheme: Scheme, gate: Gate, kept: Sequence[FloatSite]) -> Candidate:
    graph = scheme.round([float_site.site for float_site in kept])
    return Candidate(graph, _measure(graph, gate), tuple(kept), scheme.ranges_by)


def _measure(graph: ir.Model, gate: Gate) -> LossReport:
    names = [value.name or "" for value in graph.graph.inputs]
    with open_graph(graph, names, gate.provider) as session:
        return gate.measure(session)
