"""Which sites stay in float: the fewest of those that lose most, so that the gate is passed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.artefact.file import serialise
from convert.model_io.runtime import Session
from convert.precision.budgets import Budgets
from convert.precision.gate import Judge, Judged
from convert.precision.sites import Scheme, Site

Said = Callable[[str, int, int], None]
"""Hears what is being done, how many of it are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A site in float, and the share of the mean squared error that went away with it alone."""

    site: Site
    share: float


@dataclass(frozen=True, slots=True)
class Found:
    """The rounded graph, what it lost, and what was kept for it; whether it passed is for the gate to say."""

    model: ir.Model
    judged: Judged
    kept: tuple[Kept, ...]


def fewest_kept(scheme: Scheme, judge: Judge, budgets: Budgets, said: Said) -> Found:
    """The scheme's graph with the fewest sites in float that keeps the budgets, the worst sites first.

    Where none does, the one with the most in float. Every graph that is given back was judged as it stands.
    """
    found = _tried(scheme, judge, ())
    if not found.judged.overspent(budgets):
        return found
    ranked = _ranked(scheme, found.model, judge.ranking(), said)
    most = len(ranked)
    while most and not scheme.rounds([one.site for one in ranked[:most]]):
        most -= 1
    if not most:
        return found
    best = _tried(scheme, judge, ranked[:most])
    if best.judged.overspent(budgets):
        return min(found, best, key=lambda one: one.judged.mean_square)
    low, high = 0, most  # with `low` it fails, with `high` it passes
    while high - low > 1:
        middle = (low + high) // 2
        tried = _tried(scheme, judge, ranked[:middle])
        if tried.judged.overspent(budgets):
            low = middle
        else:
            best, high = tried, middle
    return best


def _ranked(scheme: Scheme, whole: ir.Model, judge: Judge, said: Said) -> tuple[Kept, ...]:
    """All sites, the one first without whose rounding the error is least; in `whole` all are rounded."""
    error = _judged(whole, judge).mean_square
    found = []
    for count, site in enumerate(scheme.sites, 1):
        said("rank", count, len(scheme.sites))
        left = _judged(scheme.rounded([site]), judge).mean_square
        found.append(Kept(site, 1 - left / error if 0 < error < float("inf") else float(left < error)))
    return tuple(sorted(found, key=lambda one: -one.share))


def _tried(scheme: Scheme, judge: Judge, kept: Sequence[Kept]) -> Found:
    graph = scheme.rounded([one.site for one in kept])
    return Found(graph, _judged(graph, judge), tuple(kept))


def _judged(graph: ir.Model, judge: Judge) -> Judged:
    names = [value.name or "" for value in graph.graph.inputs]
    return judge.judge(Session(serialise(graph), names, judge.provider))
