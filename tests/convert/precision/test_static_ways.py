from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.precision.distributions import Distribution
from convert.precision.int8 import infer_shapes
from convert.precision.ranges import NAMES, RangeMethod, hold_all
from convert.precision.static import StaticScheme
from convert.precision.static_ways import METHODS, make_plain_scheme, make_static_schemes
from tests.convert.models import optimise_model
from tests.convert.precision.networks import as_own_samples, build_network, make_samples


@pytest.mark.slow
def test_the_method_that_loses_least_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spec, graph = build_network("rows")
    x = make_samples(spec, 64)
    session = Session(serialise(graph), [spec.name])

    def lose(*methods: object) -> float:
        monkeypatch.setattr("convert.precision.static_ways.METHODS", methods)
        scheme, _ = make_static_schemes(graph, {}, as_own_samples(x))
        (result,) = Session(serialise(scheme.round(())), [spec.name]).run([x]).values()
        (expected,) = session.run([x]).values()
        return float(((result - expected) ** 2).mean())

    assert lose(_cut_all, *METHODS, _cut_all) == min(lose(method) for method in METHODS) < lose(_cut_all)


@pytest.mark.parametrize("method", METHODS, ids=NAMES.get)
def test_a_scheme_names_how_its_ranges_were_chosen(
    method: RangeMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, spec, graph = build_network("rows")
    monkeypatch.setattr("convert.precision.static_ways.METHODS", (method,))
    sets = as_own_samples(make_samples(spec))
    schemes = make_static_schemes(graph, {}, sets)
    assert [scheme.ranges_by for scheme in schemes] == [NAMES[method], NAMES[hold_all]]


def test_the_graph_is_prepared_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spec, graph = build_network("rows")
    infer = Mock(wraps=infer_shapes)
    sets = as_own_samples(make_samples(spec))
    monkeypatch.setattr(StaticScheme, "round", lambda scheme, kept: graph)
    monkeypatch.setattr("convert.precision.static_ways.list_rounded_values", lambda model: [])
    monkeypatch.setattr("convert.precision.static.infer_shapes", infer)
    make_static_schemes(graph, {}, sets)
    assert infer.call_count == 1


def test_few_and_uneven_sets_are_compared_too() -> None:
    _, spec, graph = build_network("rows")
    sets = (*as_own_samples(make_samples(spec, 3)), *as_own_samples(make_samples(spec, 100)))
    schemes = make_static_schemes(graph, {}, sets)
    assert all(scheme.is_rounding(()) for scheme in schemes)


@pytest.mark.slow
def test_a_large_batch_is_compared_whole() -> None:
    torch.manual_seed(0)
    spec = parse_input("tokens:float32[80,3,16]")
    graph = optimise_model(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8)), spec).model
    schemes = make_static_schemes(graph, {}, as_own_samples(make_samples(spec, 80)))
    assert all(scheme.is_rounding(()) for scheme in schemes)


def test_a_plain_scheme_rounds_the_same_values() -> None:
    _, spec, graph = build_network("rows")
    sets = as_own_samples(make_samples(spec))
    plain = make_plain_scheme(graph, sets, "cpu").round(())
    chosen = make_static_schemes(graph, {}, sets)[0].round(())
    assert [node.name for node in plain.graph] == [node.name for node in chosen.graph]


def _cut_all(distribution: Distribution) -> tuple[float, float]:
    return (0.0, float(np.abs(distribution.numbers).max()) / 100)
