"""Guardrails: each harm is found beyond its margin, and not within."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serve.experiments.definition import Guardrail, Stages
from serve.experiments.findings import Behaviour, Harm, Memory
from serve.experiments.guardrails import guardrail_alpha, watch
from serve.experiments.statistics.samples import Counts, LogHistogram
from serve.experiments.statistics.shifts import OTHER_CLASSES
from tests.serve.experiments.judged import behave, define

HARMFUL: dict[str, dict[str, Any]] = {
    "error_rate": {"errors": Counts(1000, 60)},
    "latency": {"latency": LogHistogram.of(np.full(1000, 9000.0))},
    "nan": {"nans": Counts(1000, 20)},
    "prediction_shift": {"classes": {0: 900, 1: 100}},
    "disagreement": {"disagreements": Counts(1000, 250)},
}
TOLERATED: dict[str, dict[str, Any]] = {
    "error_rate": {"errors": Counts(1000, 3)},
    "latency": {"latency": LogHistogram.of(2200 * np.exp(0.3 * np.sin(np.arange(1000))))},
    "nan": {"nans": Counts(1000, 0)},
    "prediction_shift": {"classes": {0: 540, 1: 460}},
    "disagreement": {"disagreements": Counts(1000, 80)},
}


def _watch(kind: Any, control: Behaviour, candidate: Behaviour, memory: Memory | None = None) -> Harm:
    return watch(Guardrail(kind=kind), "v2", (control, candidate), 0.01, memory or Memory())


@pytest.mark.parametrize("kind", HARMFUL)
def test_harm_beyond_the_margin_is_shown(kind: str) -> None:
    harm = _watch(kind, behave(), behave(**HARMFUL[kind]))
    assert harm.is_shown
    assert harm.value > harm.control_value


@pytest.mark.parametrize("kind", TOLERATED)
def test_harm_within_the_margin_is_not(kind: str) -> None:
    assert not _watch(kind, behave(), behave(**TOLERATED[kind])).is_shown


@pytest.mark.parametrize("kind", HARMFUL)
def test_nothing_is_shown_without_requests(kind: str) -> None:
    assert not _watch(kind, Behaviour(), Behaviour()).is_shown
    assert not _watch(kind, behave(), Behaviour()).is_shown
    assert not _watch(kind, Behaviour(), Behaviour(latency=behave().latency)).is_shown


def test_nan_that_the_control_answers_too_is_no_harm() -> None:
    known = behave(nans=Counts(1000, 20))
    assert not _watch("nan", known, known).is_shown


def test_harm_shown_once_is_remembered() -> None:
    harm = _watch("error_rate", behave(), behave(errors=Counts(1000, 60)))
    memory = Memory(harms={harm.key: harm.log_e})
    assert _watch("error_rate", behave(), behave(), memory).is_shown
    assert not _watch("nan", behave(), behave(), memory).is_shown


def test_alpha_is_divided_among_guardrails_and_candidates() -> None:
    assert guardrail_alpha(define(stages=Stages(shadow_share=0))) == pytest.approx(0.05 / 5)
    # In shadow and on the ramp.
    assert guardrail_alpha(define()) == pytest.approx(0.05 / 5 / 2)
    assert guardrail_alpha(define(guardrails=())) == 0.05


def test_a_single_hostile_value_does_not_stop_a_candidate() -> None:
    latency = behave().latency.merge(LogHistogram.of([1e99]))
    assert not _watch("latency", behave(), replace(behave(), latency=latency)).is_shown


def test_hundreds_of_thousands_of_classes_are_compared() -> None:
    classes = dict.fromkeys(range(100_000), 1)
    assert not _watch("prediction_shift", behave(classes=classes), behave(classes=classes)).is_shown
    only = {0: 100_000}
    assert _watch("prediction_shift", behave(classes=classes), behave(classes=only)).is_shown


def test_classes_that_one_variant_counts_together_are_no_shift() -> None:
    # Of 2,000 classes the control has met all, and the candidate, which had fewer units, every second one.
    control = {**dict.fromkeys(range(1000), 10), OTHER_CLASSES: 10_000}
    candidate = dict.fromkeys(range(0, 2000, 2), 5)
    harm = _watch("prediction_shift", behave(classes=control), behave(classes=candidate))
    assert not harm.is_shown
    assert harm.value < 0.001
    moved = _watch("prediction_shift", behave(classes=control), behave(classes={1500: 5000}))
    assert moved.is_shown
