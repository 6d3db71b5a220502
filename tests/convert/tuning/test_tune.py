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
from tests.convert.tuning.machine import BASE_SECONDS, Planted

GRAPH = parse_graph(
    write_graph(
        "c = Conv(x, w) e = Elu(c) d = Conv(e, w) f = Elu(d) y = Softplus(f)", write_constant("w", 4, 4, 1, 1)
    )
)
CHEAP_ELU = {"Max": 0.002}  # which the table's form of Elu has
ASKED = TuningOptions(batches=(1,), seconds=60.0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tuned(machine: Planted, asked: TuningOptions = ASKED) -> TuningResult:
    return tune(TuningTask(GRAPH, RULES, machine), asked)


def forms(found: TuningResult) -> dict[str, str]:
    return {one.value: one.form for one in found.record.chosen}


def test_the_form_that_is_planted_as_the_fastest_is_found_and_written_down() -> None:
    found = tuned(Planted([CHEAP_ELU]))
    assert forms(found) == {"e": UNCHANGED, "f": UNCHANGED}
    assert found.plan.chosen["Elu", "e"] == UNCHANGED
    assert found.record.verdict == FASTER
    (speed,) = found.record.speeds
    assert speed.untuned == pytest.approx((BASE_SECONDS + 2 * 0.002) * 1e6)
    assert speed.tuned == pytest.approx(BASE_SECONDS * 1e6)
    assert speed.high < 1
    taken = [trial for trial in found.record.trials if trial.taken]
    assert [(one.kind, one.places, one.form, one.instead_of) for one in taken] == [
        ("Elu", 2, UNCHANGED, "elu_to_exp")
    ]


def test_where_the_table_is_the_fastest_nothing_changes() -> None:
    found = tuned(Planted([{"Elu": 0.01, "Softplus": 0.01, "Relu": 0.01}]))
    assert found.plan == FormPlan()
    assert found.record.verdict == NOTHING
    assert {trial.form for trial in found.record.trials} >= {UNCHANGED, "elu_as_sum"}


def test_places_of_one_group_may_end_in_different_forms() -> None:
    class Uneven(Planted):
        """Elu is fast once and slow twice."""

        def _seconds(self, operators: Counter[str], costs: Mapping[str, float]) -> float:
            return BASE_SECONDS * {0: 1.0, 1: 0.8, 2: 1.2}[operators["Elu"]]

    assert sorted(forms(tuned(Uneven())).values()) == [UNCHANGED]


def test_noise_keeps_the_table() -> None:
    found = tuned(Planted([{"Max": 0.0001}], noise=0.1))
    assert found.plan == FormPlan()
    assert not found.record.chosen
    assert found.record.noise > 0.02


def test_a_gain_that_the_last_comparison_does_not_find_again_is_given_up() -> None:
    class Fading(Planted):
        """Fast forms are fast until the last comparison, in sessions of their own, begins."""

        def load(self, graph: ir.Model) -> Turn:
            if self.last:
                self.batches = ({},)
            return super().load(graph)

        last = False

    machine = Fading([CHEAP_ELU])

    def told(what: str) -> None:
        machine.last = machine.last or what.startswith("the chosen forms")

    found = tune(TuningTask(GRAPH, RULES, machine, told), ASKED)
    assert any(trial.taken for trial in found.record.trials)
    assert found.record.verdict == NOT_FASTER
    assert found.plan == FormPlan()


def test_a_form_that_is_slower_for_one_batch_is_not_taken() -> None:
    machine = Planted([{"Elu": -0.004}, {"Elu": 0.001}])
    found = tuned(machine, dataclasses.replace(ASKED, batches=(1, 16)))
    assert "elu" not in {trial.form for trial in found.record.trials if trial.taken}
    assert found.plan.form_at("Elu", "e") != UNCHANGED


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 4.5, 5.0, 20.0])
def test_it_ends_within_its_time_and_keeps_some_for_the_last_comparison(seconds: float) -> None:
    machine = Planted([CHEAP_ELU], noise=0.001, load_seconds=0.2)
    start = machine.now()
    found = tuned(machine, dataclasses.replace(ASKED, seconds=seconds))
    # Where there is no time to search, it ends with the load and the round that it is in.
    assert machine.now() - start <= seconds + (0.25 if seconds < 4 else 0.0)
    assert found.record.spent == pytest.approx(machine.now() - start, rel=1e-3)
    assert found.record.verdict == (FASTER if seconds >= 4 else TOO_SHORT)


def test_a_time_that_is_too_short_keeps_the_table_and_says_so() -> None:
    found = tuned(Planted([CHEAP_ELU]), dataclasses.replace(ASKED, seconds=0.2))
    assert found.plan == FormPlan()
    assert found.record.verdict == TOO_SHORT


def test_the_same_question_is_answered_without_a_run() -> None:
    first = tuned(Planted([CHEAP_ELU]))
    machine = Planted([CHEAP_ELU])
    again = tuned(machine)
    assert not machine.loaded
    assert again.record == first.record
    assert forms(again) == {"e": UNCHANGED, "f": UNCHANGED}


def test_without_the_cache_it_is_measured_anew_and_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        machine = Planted([CHEAP_ELU])
        tuned(machine, dataclasses.replace(ASKED, cached=False))
        assert machine.loaded
    assert not list(tmp_path.iterdir())


def test_more_time_than_the_answer_was_given_is_a_new_question() -> None:
    tuned(Planted([CHEAP_ELU]), dataclasses.replace(ASKED, seconds=5.0))
    machine = Planted([CHEAP_ELU])
    tuned(machine)
    assert machine.loaded


@pytest.mark.parametrize(
    "change",
    [
        {"chosen": [{"kind": "Elu", "value": "no such place", "layer": "", "form": UNCHANGED}]},
        {"chosen": [{"kind": "Elu", "value": "e", "layer": "", "form": "os.system"}]},
        {"chosen": [{"kind": "other", "value": "e", "layer": "", "form": UNCHANGED}]},
        {"verdict": "<script>"},
    ],
)
def test_an_answer_that_cannot_be_one_is_measured_anew_and_replaced(change: dict[str, object]) -> None:
    first = tuned(Planted([CHEAP_ELU]))
    (path,) = cache.cache_folder().iterdir()
    content = json.loads(path.read_text())
    content["tuning"] |= change
    path.write_text(json.dumps(content))
    machine = Planted([CHEAP_ELU])
    assert tuned(machine).plan == first.plan
    assert machine.loaded
    assert json.loads(path.read_text())["tuning"]["verdict"] == FASTER


def test_without_a_form_that_broke_parity_the_rest_is_compared_once_more() -> None:
    machine = Planted([{"Max": 0.002, "Log": 0.002}])
    first = tuned(machine)
    assert first.plan.form_at("Softplus", "y") == UNCHANGED
    plan = first.plan.with_form([("Elu", "e")], "elu_as_sum")
    task = TuningTask(GRAPH, RULES, machine)
    found = drop_rule(task, TuningResult(plan, first.record, first.key), "elu_as_sum")
    assert found.record.verdict == FASTER
    assert forms(found) == {"f": UNCHANGED, "y": UNCHANGED}
    assert found.record.spent > first.record.spent
    assert tuned(Planted()).record == found.record  # which is what is remembered


def test_nothing_is_left_of_a_choice_whose_only_form_broke_parity() -> None:
    first = tuned(Planted([CHEAP_ELU]))
    found = drop_rule(TuningTask(GRAPH, remaining_rules(()), Planted()), first, UNCHANGED)
    assert (found.plan, found.record.verdict) == (FormPlan(), NOT_EXACT)
    assert reject_forms(first).record == found.record


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
def test_what_cannot_be_meant_is_wrong_use(change: dict[str, Any], reason: str) -> None:
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
