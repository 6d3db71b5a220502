"""Assignment against a second implementation, its statistics, and pinned answers."""

import hashlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from serve.experiments.assignment import Assigner, Assignment, assign, count_hashes
from serve.experiments.definition import Experiment
from serve.experiments.units import MAX_UNIT_CHARACTERS, Unit
from tests.serve.experiments.definitions import make_experiment

STEPS = (1.0, 5.0, 10.0, 25.0, 50.0)
MANY = [f"unit-{number}" for number in range(100_000)]
THREE = [{"name": "a", "version": "2"}, {"name": "b", "version": "3"}]
PINNED = [
    *[("control", True), ("control", False), ("control", False), ("control", True), ("a", True)],
    *[("control", False), ("control", False), ("control", False), ("a", True), ("control", True)],
]
LEAST_P = 0.001  # fixed inputs, so a test passes for good or not at all


def hash_as_designed(salt: str, unit: str) -> float:
    """h = first 8 bytes of SHA-256(f"{salt}:{unit}") / 2^64."""
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()
    return int(digest[:16], 16) / 2**64


def assign_as_designed(experiment: Experiment, step_percent: float, unit: str) -> tuple[str, bool]:
    """Two salts: one says whether the unit is enrolled, the other which of the equal shares it is in."""
    low = experiment.exclusion.from_percent if experiment.exclusion else 0
    owner = f"group/{experiment.exclusion.group}" if experiment.exclusion else f"experiment/{experiment.name}"
    place = hash_as_designed(f"enrolment/{owner}", unit) * 100
    if not low <= place < low + step_percent:
        return experiment.control.name, False
    names = [experiment.control.name, *(variant.name for variant in experiment.candidates)]
    return names[int(hash_as_designed(f"variant/{experiment.name}", unit) * len(names))], True


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"candidates": THREE},
        {"exclusion": {"group": "g", "from_percent": 30, "to_percent": 80}},
    ],
    ids=["two", "three", "range"],
)
def test_it_is_what_the_design_says(fields: dict[str, object]) -> None:
    experiment = make_experiment(**fields)
    assigner = Assigner(experiment, 25.0)
    for unit in MANY[:5000]:
        variant, is_enrolled = assign_as_designed(experiment, 25.0, unit)
        assert assigner.assign(unit) == Assignment(variant, is_enrolled, is_forced=False)


def test_answers_never_change() -> None:
    """Another hash, salt or order would assign running experiments anew: never update these by copying."""
    experiment = make_experiment(candidates=THREE)
    units = ["", "anna", "42", "café", "\x00", "日本語", "\ud800", "x" * MAX_UNIT_CHARACTERS, "bert", "cleo"]
    answers = [assign(experiment, 50.0, unit) for unit in units]
    assert [(answer.variant, answer.is_enrolled) for answer in answers] == PINNED


def test_the_kind_of_unit_does_not_matter() -> None:
    experiment = make_experiment()
    for value in MANY[:50]:
        answers = {assign(experiment, 50.0, Unit(kind, value)) for kind in ("header", "parameter", "request")}
        assert answers == {assign(experiment, 50.0, value)}


def test_enrolment_and_variant_are_uniform_and_independent() -> None:
    """Chi-square on 100 000 units: shares enrolled, shares of variants, and both together."""
    experiment = make_experiment(candidates=THREE)
    stages = np.searchsorted(
        STEPS, [100 * hash_as_designed("enrolment/experiment/exp", unit) for unit in MANY]
    )
    observed = np.bincount(stages, minlength=6)
    expected = np.diff([0, *STEPS, 100]) / 100 * len(MANY)
    assert stats.chisquare(observed, expected).pvalue > LEAST_P

    table = np.zeros((6, 3))
    names = [variant.name for variant in experiment.variants]
    everyone = Assigner(experiment, 100.0)
    for unit, stage in zip(MANY, stages, strict=True):
        table[stage, names.index(everyone.assign(unit).variant)] += 1
    assert stats.chisquare(table.sum(axis=0)).pvalue > LEAST_P
    assert stats.chi2_contingency(table).pvalue > LEAST_P


def test_experiments_assign_independently_of_each_other() -> None:
    one, other = (Assigner(make_experiment(name=name), 100.0) for name in ("one", "other"))
    both = Counter((one.assign(unit).variant, other.assign(unit).variant) for unit in MANY)
    table = [[both[a, b] for b in ("control", "candidate")] for a in ("control", "candidate")]
    assert stats.chi2_contingency(table).pvalue > LEAST_P


@pytest.mark.slow
def test_a_wider_step_moves_no_enrolled_unit_and_keeps_equal_shares() -> None:
    experiment = make_experiment(candidates=THREE)
    for narrow, wide in pairwise(Assigner(experiment, step) for step in (0.0, *STEPS, 100.0)):
        shares: Counter[str] = Counter()
        for unit in MANY[:30_000]:
            before, after = narrow.assign(unit), wide.assign(unit)
            assert after == before or not before.is_enrolled
            shares[after.variant] += after.is_enrolled
        assert stats.chisquare([shares[v.name] for v in experiment.variants]).pvalue > LEAST_P


def test_at_no_step_no_one_is_enrolled_and_at_the_last_everyone() -> None:
    experiment = make_experiment()
    assert not any(assign(experiment, 0.0, unit).is_enrolled for unit in MANY[:1000])
    assert all(assign(experiment, 100.0, unit).is_enrolled for unit in MANY[:1000])


@pytest.mark.parametrize("bounds", [(0, 0.1, 0.3, 1), (0, 30, 60, 100), (0, 33.3, 66.6, 100)])
def test_ranges_of_a_group_share_no_unit_and_leave_none_out(bounds: tuple[float, ...]) -> None:
    ranges = [
        make_experiment(
            name=f"exp-{low}",
            stages={"steps": [round(high - low, 9)]},
            exclusion={"group": "g", "from_percent": low, "to_percent": high},
        )
        for low, high in pairwise(bounds)
    ]
    assigners = [Assigner(one, one.stages.steps[0]) for one in ranges]
    for unit in MANY[:20_000]:
        assert sum(assigner.assign(unit).is_enrolled for assigner in assigners) == (
            hash_as_designed("enrolment/group/g", unit) * 100 < bounds[-1]
        )


def test_a_step_never_leaves_its_range() -> None:
    exclusion = {"group": "g", "from_percent": 20, "to_percent": 30}
    assigner = Assigner(make_experiment(stages={"steps": [10]}, exclusion=exclusion), 50.0)
    for unit in MANY[:5000]:
        place = 100 * hash_as_designed("enrolment/group/g", unit)
        assert assigner.assign(unit).is_enrolled == (20 <= place < 30)


def test_allowed_units_get_their_variant_and_take_no_part() -> None:
    experiment = make_experiment(allow_list={"anna": "candidate", "bert": "control"})
    for step in (0.0, 100.0):
        assert assign(experiment, step, "anna") == Assignment("candidate", is_enrolled=False, is_forced=True)
        assert assign(experiment, step, Unit("header", "bert")) == Assignment("control", False, True)
        assert not assign(experiment, step, "cleo").is_forced


def test_the_greatest_hash_still_has_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divided by 2**64 as a float it would be 1, one variant too far."""
    monkeypatch.setattr("serve.experiments.assignment._hash", lambda prefix, text: 2**64 - 1)
    assert assign(make_experiment(candidates=THREE), 100.0, "anna") == Assignment("b", True, False)


def test_all_hashes_are_counted() -> None:
    assert [count_hashes(percent) for percent in (0, 50, 100)] == [0, 2**63, 2**64]
