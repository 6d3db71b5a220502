"""The choice on a machine whose times are planted: what is found, kept, given up and remembered."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from convert.errors import UsageError
from convert.model_io.inputs import parse_input
from convert.rewriting.optimise import remaining_rules
from convert.rewriting.plan import UNCHANGED, FormPlan
from convert.rules import RULES
from convert.tuning import cache
from convert.tuning.search import TuningTask
from convert.tuning.timing import Turn
from convert.tuning.tune import (
    FASTER,
    NOT_EXACT,
    NOT_FASTER,
    NOTHING,
    TOO_SHORT,
    TuningOptions,
    TuningResult,
    drop_rule,
    reject_forms,
    tune,
)
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.models import IMAGES
from tests.convert.tuning.machine import BASE_SECONDS, PlantedMachine

GRAPH = parse_graph(
    write_graph(
        "c = Conv(x, w) e = Elu(c) d = Conv(e, v) f = Elu(d) y = Softplus(f)",
        write_constant("w", 6, 4, 1, 1),  # six channels: both take the same form of Elu
        write_constant("v", 4, 6, 1, 1),
    )
)
CHEAP_ELU = {"Max": 0.002}  # which the table's form of Elu has
ASKED = TuningOptions(batches=(1,), seconds=60.0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tune_graph(machine: PlantedMachine, options: TuningOptions = ASKED) -> TuningResult:
    return tune(TuningTask(GRAPH, RULES, machine), options)


def read_forms(result: TuningResult) -> dict[str, str]:
    return {record.value: record.form for record in result.record.chosen}


def test_the_fastest_form_is_chosen_and_recorded() -> None:
    result = tune_graph(PlantedMachine([CHEAP_ELU]))
    assert read_forms(result) == {"e": UNCHANGED, "f": UNCHANGED}
    assert result.plan.chosen["Elu", "e"] == UNCHANGED
    assert result.record.verdict == FASTER
    (speed,) = result.record.speeds
    assert speed.untuned == pytest.approx((BASE_SECONDS + 2 * 0.002) * 1e6)
    assert speed.tuned == pytest.approx(BASE_SECONDS * 1e6)
    assert speed.high < 1
    taken = [trial for trial in result.record.trials if trial.taken]
    assert [(record.kind, record.places, record.form, record.instead_of) for record in taken] == [
        ("Elu", 2, UNCHANGED, "elu_to_exp")
    ]


def test_the_fastest_default_stays() -> None:
    result = tune_graph(PlantedMachine([{"Elu": 0.01, "Softplus": 0.01, "Relu": 0.01}]))
    assert result.plan == FormPlan()
    assert result.record.verdict == NOTHING
    assert {trial.form for trial in result.record.trials} >= {UNCHANGED, "elu_as_sum"}


def test_places_of_one_group_may_end_in_different_forms() -> None:
    class Uneven(PlantedMachine):
        """Elu is fast once and slow twice."""

        def _seconds(self, operators: Counter[str], costs: Mapping[str, float]) -> float:
            return BASE_SECONDS * {0: 1.0, 1: 0.8, 2: 1.2}[operators["Elu"]]

    assert sorted(read_forms(tune_graph(Uneven())).values()) == [UNCHANGED]


def test_noise_keeps_the_table() -> None:
    result = tune_graph(PlantedMachine([{"Max": 0.0001}], noise=0.1))
    assert result.plan == FormPlan()
    assert not result.record.chosen
    assert result.record.noise > 0.02


def test_an_unconfirmed_gain_is_dropped() -> None:
    class Fading(PlantedMachine):
        """Fast forms are fast until the last comparison, in sessions of their own, begins."""

        def load(self, graph: ir.Model) -> Turn:
            if self.last:
                self.batches = ({},)
            return super().load(graph)

        last = False

    machine = Fading([CHEAP_ELU])

    def on_progress(detail: str) -> None:
        machine.last = machine.last or detail.startswith("the chosen forms")

    result = tune(TuningTask(GRAPH, RULES, machine, on_progress), ASKED)
    assert any(trial.taken for trial in result.record.trials)
    assert result.record.verdict == NOT_FASTER
    assert result.plan == FormPlan()


def test_a_form_that_is_slower_for_one_batch_is_not_taken() -> None:
    machine = PlantedMachine([{"Elu": -0.004}, {"Elu": 0.001}])
    result = tune_graph(machine, dataclasses.replace(ASKED, batches=(1, 16)))
    assert "elu" not in {trial.form for trial in result.record.trials if trial.taken}
    assert result.plan.form_at("Elu", "e") != UNCHANGED


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 4.5, 5.0, 20.0])
def test_tuning_ends_in_time_with_its_confirmation(seconds: float) -> None:
    machine = PlantedMachine([CHEAP_ELU], noise=0.001, load_seconds=0.2)
    start = machine.now()
    result = tune_graph(machine, dataclasses.replace(ASKED, seconds=seconds))
    # Where there is no time to search, it ends with the load and the round that it is in.
    assert machine.now() - start <= seconds + (0.25 if seconds < 4 else 0.0)
    assert result.record.spent == pytest.approx(machine.now() - start, rel=1e-3)
    assert result.record.verdict == (FASTER if seconds >= 4 else TOO_SHORT)


def test_a_time_that_is_too_short_keeps_the_table_and_says_so() -> None:
    result = tune_graph(PlantedMachine([CHEAP_ELU]), dataclasses.replace(ASKED, seconds=0.2))
    assert result.plan == FormPlan()
    assert result.record.verdict == TOO_SHORT


def test_the_same_question_is_answered_without_a_run() -> None:
    first = tune_graph(PlantedMachine([CHEAP_ELU]))
    machine = PlantedMachine([CHEAP_ELU])
    again = tune_graph(machine)
    assert not machine.loaded
    assert again.record == first.record
    assert read_forms(again) == {"e": UNCHANGED, "f": UNCHANGED}


def test_without_the_cache_nothing_is_read_or_stored(tmp_path: Path) -> None:
    for _ in range(2):
        machine = PlantedMachine([CHEAP_ELU])
        tune_graph(machine, dataclasses.replace(ASKED, cached=False))
        assert machine.loaded
    assert not list(tmp_path.iterdir())


def test_more_time_than_the_cached_result_had_measures_again() -> None:
    tune_graph(PlantedMachine([CHEAP_ELU]), dataclasses.replace(ASKED, seconds=5.0))
    machine = PlantedMachine([CHEAP_ELU])
    tune_graph(machine)
    assert machine.loaded


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"chosen": [{"kind": "Elu", "value": "no such place", "layer": "", "form": UNCHANGED}]},
        {"chosen": [{"kind": "Elu", "value": "e", "layer": "", "form": "os.system"}]},
        {"chosen": [{"kind": "other", "value": "e", "layer": "", "form": UNCHANGED}]},
        {"verdict": "<script>"},
    ],
)
def test_an_impossible_cached_result_is_replaced(change: dict[str, object]) -> None:
    first = tune_graph(PlantedMachine([CHEAP_ELU]))
    (path,) = cache.cache_folder().iterdir()
    content = json.loads(path.read_text())
    content["tuning"] |= change
    path.write_text(json.dumps(content))
    machine = PlantedMachine([CHEAP_ELU])
    assert tune_graph(machine).plan == first.plan
    assert machine.loaded
    assert json.loads(path.read_text())["tuning"]["verdict"] == FASTER


def test_a_plan_without_an_inexact_form_is_confirmed_again() -> None:
    machine = PlantedMachine([{"Max": 0.002, "Log": 0.002}])
    first = tune_graph(machine)
    assert first.plan.form_at("Softplus", "y") == UNCHANGED
    plan = first.plan.with_form([("Elu", "e")], "elu_as_sum")
    task = TuningTask(GRAPH, RULES, machine)
    result = drop_rule(task, TuningResult(plan, first.record, first.key), "elu_as_sum")
    assert result.record.verdict == FASTER
    assert read_forms(result) == {"f": UNCHANGED, "y": UNCHANGED}
    assert result.record.spent > first.record.spent
    assert tune_graph(PlantedMachine()).record == result.record  # which is what is remembered


def test_an_inexact_only_form_leaves_no_choice() -> None:
    first = tune_graph(PlantedMachine([CHEAP_ELU]))
    result = drop_rule(TuningTask(GRAPH, remaining_rules(()), PlantedMachine()), first, UNCHANGED)
    assert (result.plan, result.record.verdict) == (FormPlan(), NOT_EXACT)
    assert reject_forms(first).record == result.record


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"provider": "tpu"}, "provider `tpu`"),
        ({"threads": 0}, "`--threads` is 0"),
        ({"batches": (0,)}, "sizes from 1"),
        ({"batches": (1, 1)}, "different sizes"),
        ({"batches": tuple(range(1, 20))}, "at most 8"),
        ({"seconds": 0.0}, "`--tune-seconds` is 0"),
        ({"seconds": float("nan")}, "`--tune-seconds` is nan"),
        ({"seconds": float("inf")}, "`--tune-seconds` is inf"),
    ],
)
def test_options_out_of_range_are_wrong_use(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        dataclasses.replace(ASKED, **change)


def test_a_batch_that_the_model_does_not_take_is_wrong_use() -> None:
    fixed = [parse_input("x:float32[4,3,8,8]")]
    assert TuningOptions().with_batches(fixed).batches == (4,)
    assert TuningOptions().with_batches([IMAGES]).batches == (1,)
    with pytest.raises(UsageError, match="takes 4 samples at a time only"):
        TuningOptions(batches=(1, 4)).with_batches(fixed)
    with pytest.raises(UsageError, match="numbers, expected at most"):
        TuningOptions(batches=(65536,)).with_batches([parse_input("x:float32[N,3,224,224]")])
