import math
from collections.abc import Collection
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import onnx_ir as ir
import pytest
from torch import nn

from convert.errors import PrecisionError, UsageError
from convert.manifest.front import FrontRecord
from convert.model_io.array import Array
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions, Budgets
from convert.precision.front import search
from convert.precision.front.options import FrontOptions, FrontRule
from convert.precision.front.places import PlaceGroup
from convert.precision.front.record import record_front
from convert.precision.front.search import MOST_FILES, FrontPoint, find_fastest
from convert.precision.gate import Loss, LossReport
from convert.precision.quantise import QuantisedModel, RoundingTask, quantise
from convert.precision.sites import RoundingSite
from convert.tuning.timing import Ratio
from convert.tuning.tune import TuningOptions
from tests.convert.models import optimise_model
from tests.convert.precision.networks import (
    ROWS,
    as_own_samples,
    build_network,
    build_original,
    make_samples,
)
from tests.convert.tuning.machine import PlantedMachine

FASTER = {"MatMulInteger": 0.001, "Gemm": 0.03, "MatMul": 0.03}
ANYTHING = BudgetOptions(max_error=1.0, min_agreement=0.0)
SAMPLES = as_own_samples(make_samples(ROWS, 100, 8))


def _quantise(
    rule: FrontRule = "fastest",
    budgets: BudgetOptions = ANYTHING,
    *,
    machine: PlantedMachine | None = None,
    seconds: float = 1e3,
    labels: Array | None = None,
    network: tuple[Original, ir.Model] | None = None,
) -> QuantisedModel:
    front = FrontOptions(rule, TuningOptions(batches=(1,)), seconds)
    task = RoundingTask("int8", budgets, None, labels, front, machine or PlantedMachine([FASTER]))
    original, graph = network or (build_original("rows"), build_network("rows")[2])
    return quantise(graph, original, SAMPLES, task)


def _record(rounded: QuantisedModel) -> FrontRecord:
    assert rounded.front is not None
    return record_front(rounded.front)


def _count_integer_products(rounded: QuantisedModel) -> int:
    return sum(node.op_type == "MatMulInteger" for node in rounded.model.graph)


def _build_bent() -> tuple[Original, ir.Model]:
    """A network of which one place adds more error than the others, and saves no more time."""
    return build_original("cube"), build_network("cube")[2]


def test_the_fastest_file_is_taken_where_any_loss_is_allowed() -> None:
    rounded = _quantise()
    record = _record(rounded)
    assert [point.places for point in record.points] == [0, 1, 2, 3]
    assert [point.ratio for point in record.points] == pytest.approx([1.0, 0.71, 0.42, 0.13])
    assert [point.microseconds for point in record.points] == [(100e3,), (71e3,), (42e3,), (13e3,)]
    assert record.points[record.chosen].places == _count_integer_products(rounded) == 3
    assert rounded.kept == ()
    assert all(point.is_best for point in record.points)


def test_the_fastest_file_is_the_fastest_that_keeps_the_budgets() -> None:
    errors = [point.largest for point in _record(_quantise()).points]
    allowed = (errors[1] + errors[2]) / 2
    rounded = _quantise(budgets=BudgetOptions(max_error=allowed, min_agreement=0.0))
    record = _record(rounded)
    assert record.points[record.chosen].places == _count_integer_products(rounded) == 1
    assert [point.passes for point in record.points] == [True, True, False, False]
    assert rounded.losses.largest <= allowed
    assert [kept.site.layer for kept in rounded.kept]
    assert all("in int8 it changes the squared error by" in kept.reason for kept in rounded.kept)


def test_places_that_cost_time_stay_in_float() -> None:
    rounded = _quantise(machine=PlantedMachine([{"MatMulInteger": 0.01}]))
    record = _record(rounded)
    assert record.points[record.chosen].places == 1  # int8 was asked for: the least that it can be
    assert record.points[record.chosen].ratio > 1
    assert [point.is_best for point in record.points] == [True, False, False, False]


def test_of_files_as_fast_the_most_exact_is_taken() -> None:
    """A machine on which all places tie, but for less than the noise."""
    record = _record(_quantise(machine=PlantedMachine([{"Gemm": 2e-5, "MatMul": 2e-5}])))
    ratios = [point.ratio for point in record.points]
    assert 0.99 < ratios[-1] < ratios[1]
    errors = [point.error for point in record.points[1:]]
    assert record.points[record.chosen].error == min(errors)


def test_the_knee_is_taken_without_budgets_that_nobody_named() -> None:
    rounded = _quantise("knee", BudgetOptions(), network=_build_bent())
    record = _record(rounded)
    assert record.chosen == record.knee
    assert [kept.site.kind for kept in rounded.kept] == ["Cube"]
    assert (rounded.budgets.max_error, rounded.budgets.min_agreement) == (1.0, 0.0)


def test_a_knee_beyond_a_named_budget_is_refused() -> None:
    with pytest.raises(PrecisionError, match="at the knee of the front: output `y` is off by"):
        _quantise("knee", BudgetOptions(max_error=1e-9), network=_build_bent())


def test_a_front_without_a_bend_has_no_knee() -> None:
    with pytest.raises(PrecisionError, match="the front has no knee") as exc_info:
        _quantise("knee", machine=PlantedMachine([{"MatMulInteger": 0.01}]))
    assert exc_info.value.hint == "take the fastest that keeps the budgets: --front fastest"


def test_nothing_is_given_where_every_file_loses_too_much() -> None:
    with pytest.raises(
        PrecisionError, match=r"even the front's file with 1 of 3 places in int8, of 3 tried, .*: output"
    ):
        _quantise(budgets=BudgetOptions(max_error=1e-9))


def test_with_no_time_left_both_ends_are_measured() -> None:
    record = _record(_quantise(seconds=1e-9))
    assert [point.places for point in record.points] == [0, 3]
    assert record.groups == 1


def test_one_place_gives_one_file() -> None:
    model = nn.Sequential(nn.Linear(16, 4)).eval()
    network = Original(model, ["y"]), optimise_model(model, ROWS).model
    record = _record(_quantise(network=network))
    assert ([point.places for point in record.points], record.chosen, record.knee) == ([0, 1], 1, None)


def test_no_place_is_refused() -> None:
    model = nn.Sequential(nn.ReLU()).eval()
    network = Original(model, ["y"]), optimise_model(model, ROWS).model
    with pytest.raises(PrecisionError, match="nothing can be rounded to int8"):
        _quantise(network=network)


@pytest.mark.parametrize("seed", range(3))
def test_noise_leaves_the_choice_within_the_budgets(seed: int) -> None:
    rounded = _quantise(
        budgets=BudgetOptions(min_agreement=0.9), machine=PlantedMachine([FASTER], 0.3), seconds=5.0 + seed
    )
    record = _record(rounded)
    assert record.points[record.chosen].passes
    assert record.points[record.chosen].places == _count_integer_products(rounded)
    assert len(record.points) <= MOST_FILES + 1


class PlayedScheme:
    """Rounds nothing with three places or fewer in int8, and too much with five or more."""

    def __init__(self) -> None:
        self.sites = [RoundingSite(str(number), "", (), (), (), has_activation=True) for number in range(16)]
        self.ranges_by = None
        self.rounded = 16

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        return len(self.sites) - len(kept) > 3

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        self.rounded = len(self.sites) - len(kept)
        return ir.Model(ir.Graph([], [], nodes=[]), ir_version=10)


def test_places_that_round_nothing_count_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, target = PlayedScheme(), FrontOptions("fastest", TuningOptions(batches=(1,)))

    def measure(*_: object) -> LossReport:
        error = 0.01 * max(scheme.rounded, 1)
        return LossReport(1, (Loss("y", 1.0, error, error**2, None, 0),), None)

    monkeypatch.setattr(search, "measure_losses", measure)
    task = search.FrontTask(target, PlantedMachine(), ir.Model(ir.Graph([], [], nodes=[]), ir_version=10))
    groups = [PlaceGroup((site,), 0.1, 0.1) for site in scheme.sites]
    budgets = Budgets(max_error=0.045, min_agreement=0, max_accuracy_drop=1)
    tried = search._Search(scheme, groups, Mock(), budgets, task, measure())
    for count in (0, 16, 3, 5, 8):
        tried.try_file(count)
    assert tried.find_next() == 4
    tried.try_file(4)
    assert tried.find_next() is None
    assert [point.groups for point in tried.summarise(1.0).points] == [0, 4, 5, 8, 16]


def _make_labels(right: int) -> Array:
    original = build_original("rows")
    scores = np.concatenate([original.answer_once(samples)[1]["y"] for samples in SAMPLES])
    labels: Array = scores.argmax(1).astype(np.int64)
    labels[right:] = (labels[right:] + 1) % 4
    return labels


def test_with_a_named_drop_the_interval_of_each_file_counts() -> None:
    rounded = _quantise(budgets=BudgetOptions(max_accuracy_drop=0.2), labels=_make_labels(90))
    record = _record(rounded)
    assert record.by_accuracy
    chosen = record.points[record.chosen]
    assert chosen.drop_high is not None
    assert chosen.drop_high <= 0.2
    assert all(
        point.passes == (point.drop_high is not None and point.drop_high <= 0.2) for point in record.points
    )
    faster = [point for point in record.points if point.ratio < chosen.ratio * 0.99]
    assert not any(point.passes for point in faster)
    drops = {point.ratio: point.drop for point in record.points}
    for point in record.points:
        beaten = any(ratio < point.ratio and drop <= point.drop for ratio, drop in drops.items())  # type: ignore[operator]
        assert point.is_best == (not beaten)


def test_a_file_that_passes_behind_one_that_fails_is_not_proven() -> None:
    """Of ten files on the same labelled samples one may pass by chance."""
    passes = (True, True, False, True)
    points = [
        FrontPoint(count, count, LossReport(1, (), None), Ratio(-count, -count, -count), (), passes[count])
        for count in range(4)
    ]
    assert find_fastest(points, [0.0] * 4, in_order=False) == 3
    assert find_fastest(points, [0.0] * 4, in_order=True) == 1
    assert find_fastest(points[2:], [0.0] * 2, in_order=True) is None


def test_labels_of_one_class_are_judged_like_others() -> None:
    labels = np.zeros(100, np.int64)
    record = _record(_quantise(budgets=BudgetOptions(max_accuracy_drop=0.3), labels=labels))
    assert record.points[record.chosen].passes
    assert record.points[0].drop == 0


def test_an_interrupted_search_leaves_nothing() -> None:
    def stop(step: str, done: int, total: int) -> None:
        if (step, done) == ("file", 2):
            raise KeyboardInterrupt

    front = FrontOptions("fastest", TuningOptions(batches=(1,)))
    task = RoundingTask("int8", ANYTHING, front=front, machine=PlantedMachine([FASTER]))
    before = build_network("rows")[2].graph.num_nodes()
    with pytest.raises(KeyboardInterrupt):
        quantise(build_network("rows")[2], build_original("rows"), SAMPLES, task, on_progress=stop)
    assert build_network("rows")[2].graph.num_nodes() == before


def test_losses_without_an_end_are_recorded_as_numbers() -> None:
    rounded = _quantise()
    assert rounded.front is not None
    point = rounded.front.points[-1]
    loss = replace(point.losses.losses[0], largest=math.inf, mean_square=math.inf)
    broken = replace(point, losses=replace(point.losses, losses=(loss,)))
    record = record_front(replace(rounded.front, points=(*rounded.front.points[:-1], broken)))
    assert record.points[-1].error == record.points[-1].largest == 1e9


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_a_time_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="`--front-seconds` is"):
        FrontOptions("fastest", TuningOptions(), seconds)
