import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.errors import EngineError, UnknownModelError
from serve.engine.sampling import Sampler
from serve.experiments.request_ids import RequestIds
from serve.experiments.routing import Treatment, make_routes
from serve.experiments.stages import Phase, Stage
from serve.experiments.units import Unit
from serve.grpc.errors import write_refusal
from serve.grpc.handlers import _to_error_bytes
from serve.grpc.infer import begin_trial
from serve.rest.errors import make_error_response
from serve.rollout.answers import AnswerSummary
from serve.rollout.recorder import VariantRun
from serve.rollout.trials import Trial, Trials
from tests.serve.experiments.definitions import make_experiment

X = {"x": np.array([[1, 2, 3]], np.float32)}
FAILED = 5
KEY = bytes(32)


class Recording:
    """Keeps runs in place of a recorder."""

    lost = 0

    def __init__(self) -> None:
        self.runs: list[VariantRun] = []
        self.exposures: list[tuple[str, str]] = []

    def note(self, run: VariantRun) -> None:
        self.runs.append(run)

    def expose(self, treatment: Treatment, unit: Unit) -> None:
        self.exposures.append((unit.value, treatment.answer.variant))

    def count_lost(self) -> int:
        return self.lost

    @property
    def variants(self) -> list[tuple[str, int, bool]]:
        return [(run.target.variant, run.status, run.is_shadow) for run in self.runs]


def make_trials(
    engine: Engine, stage: Stage, sampler: Sampler | None = None, **fields: Any
) -> tuple[Trials, Recording]:
    """With the tester `anna`, who gets the candidate on the ramp."""
    recording = Recording()
    trials = Trials(engine, recording, RequestIds(KEY), lambda error: FAILED, sampler)  # type: ignore[arg-type]  # it only notes
    experiment = make_experiment(**{"allow_list": {"anna": "candidate", "bert": "control"}, **fields})
    trials.follow(make_routes([(experiment, Phase(2, 1, stage, 100.0, 0, "anne", ""))]))
    return trials, recording


def begin(trials: Trials, unit: str = "anna") -> Trial:
    trial = trials.begin(trials.routes["digits"], unit, None, "r1")
    assert trial is not None
    return trial


def run(trials: Trials, trial: Trial, inputs: Any = X) -> Any:
    """The answer, once everything that was mirrored has run too."""

    async def answer() -> Any:
        try:
            answer = await trial.run(inputs)
            trial.finish()
            return answer["y"].tolist()
        finally:
            await trials.stop(60)

    return asyncio.run(answer())


def test_only_models_with_an_experiment_have_a_route(engine: Engine) -> None:
    trials, _ = make_trials(engine, "ramp")
    assert set(trials.routes) == {"digits"}
    trials.follow({})
    assert not trials.routes


def test_the_variant_answers_and_is_noted(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp")
    assert run(trials, begin(trials)) == [[3, 6, 9]]
    (noted,) = recording.runs
    assert (noted.target.variant, noted.version, noted.status, noted.request_id) == (
        "candidate",
        "2",
        0,
        "r1",
    )
    assert [array.tolist() for array in noted.outputs] == [[[3, 6, 9]]]  # type: ignore[union-attr]  # arrays
    assert noted.unit.value == "anna"


def test_the_control_answers_its_units(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp")
    trial = begin(trials, "bert")
    assert run(trials, trial) == [[2, 4, 6]]
    assert recording.variants == [("control", 0, False)]


def test_in_shadow_the_control_answers_and_the_candidate_runs_too(engine: Engine) -> None:
    trials, recording = make_trials(engine, "shadow", allow_list={})
    assert run(trials, begin(trials)) == [[2, 4, 6]]
    assert recording.variants == [("control", 0, False), ("candidate", 0, True)]
    assert trials.mirrored.done == 1


def test_a_failing_shadow_is_noted_and_harms_nobody(engine: Engine) -> None:
    candidates = [{"name": "candidate", "version": "3"}]
    trials, recording = make_trials(engine, "shadow", allow_list={}, candidates=candidates)
    assert run(trials, begin(trials)) == [[2, 4, 6]]
    assert recording.variants == [("control", 0, False), ("candidate", FAILED, True)]


@pytest.mark.parametrize("version", ["3", "17", "gone"])
def test_a_failing_candidate_fails_and_is_counted(engine: Engine, version: str) -> None:
    trials, recording = make_trials(engine, "ramp", candidates=[{"name": "candidate", "version": version}])
    with pytest.raises(EngineError):
        run(trials, begin(trials))
    assert recording.variants == [("candidate", FAILED, False)]


@pytest.mark.parametrize("version", ["3", "17"])
def test_the_control_answers_for_a_failing_candidate_if_so_defined(engine: Engine, version: str) -> None:
    candidates = [{"name": "candidate", "version": version}]
    trials, recording = make_trials(engine, "ramp", candidates=candidates, on_error="control")
    assert run(trials, begin(trials)) == [[2, 4, 6]]
    assert recording.variants == [("candidate", FAILED, False)]


def test_a_candidate_that_is_not_there_is_an_error_with_its_name(engine: Engine) -> None:
    trials, _ = make_trials(engine, "ramp", candidates=[{"name": "candidate", "model": "nothing"}])
    with pytest.raises(UnknownModelError, match="nothing"):
        run(trials, begin(trials))


def test_a_large_answer_is_summed_up_at_once(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp")
    run(trials, begin(trials), {"x": np.ones((100_000, 3), np.float32)})
    assert recording.runs[0].outputs == AnswerSummary(False, 0, 3.0)


def test_a_cancelled_run_is_not_noted(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp")

    async def cancel() -> None:
        task = asyncio.create_task(begin(trials).run(X))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert recording.runs == []


def test_requests_without_an_id_get_one_each(engine: Engine) -> None:
    trials, _ = make_trials(engine, "ramp")
    ids = set()
    for _ in range(3):
        trial = trials.begin(trials.routes["digits"], "anna", None, None)
        assert trial is not None
        ids.add(trial.describe()["adaptact_request_id"])
    assert len(ids) == 3
    assert begin(trials).describe() == {
        "adaptact_experiment": "exp",
        "adaptact_variant": "candidate",
        "adaptact_request_id": "r1",
    }


@pytest.mark.parametrize(
    ("hidden", "has_headers", "has_parameters"),
    [
        (False, True, True),
        ("none", True, True),
        ("headers", False, True),
        ("parameters", True, False),
        ("all", False, False),
        (True, False, False),
    ],
)
def test_what_is_hidden_is_in_no_reply_nor_error(
    engine: Engine, hidden: object, has_headers: bool, has_parameters: bool
) -> None:
    trials, _ = make_trials(
        engine, "ramp", hide_from_replies=hidden, candidates=[{"name": "candidate", "version": "3"}]
    )
    trial = begin(trials)
    assert (bool(trial.describe_in_headers()), bool(trial.describe())) == (has_headers, has_parameters)
    with pytest.raises(EngineError) as raised:
        run(trials, trial)
    error = raised.value
    assert (bool(error.reply_headers), bool(error.reply_parameters)) == (has_headers, has_parameters)
    assert ("x-adaptact-variant" in make_error_response(error).headers) == has_headers
    assert (b"x-adaptact-variant" in write_refusal(error)) == has_headers
    assert (b"adaptact_variant" in _to_error_bytes(b"", error)) == has_parameters


def test_a_unit_is_exposed_once_and_again_when_records_were_lost(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp", allow_list={})
    for _ in range(3):
        run(trials, begin(trials, "carl"))
    (exposure,) = recording.exposures
    assert exposure[0] == "carl"
    assert len(recording.runs) == 3
    recording.lost = 7
    run(trials, begin(trials, "carl"))
    assert recording.exposures == [exposure, exposure]


def test_what_is_not_kept_is_counted_and_its_unit_exposed(engine: Engine) -> None:
    none = Sampler(100, 0)
    trials, recording = make_trials(engine, "ramp", none, allow_list={})
    run(trials, begin(trials, "carl"))
    assert recording.runs == []
    assert [unit for unit, _ in recording.exposures] == ["carl"]
    # A request that is its own unit is left out as a whole.
    trial = trials.begin(trials.routes["digits"], None, None, "r2")
    assert trial is not None
    run(trials, trial)
    assert len(recording.exposures) == 1


def test_a_request_that_is_its_own_unit_is_noted_as_its_id_says(engine: Engine) -> None:
    trials, recording = make_trials(engine, "ramp", allow_list={})
    trial = trials.begin(trials.routes["digits"], None, None)
    assert trial is not None
    run(trials, trial)
    ((unit, variant),) = recording.exposures
    assert (unit, variant) == (trial.request_id[-12:], trial.describe()["adaptact_variant"])
    issued, ids = RequestIds(KEY).read(trial.request_id), RequestIds(KEY)
    assert issued is not None
    assert issued.unit == ids.hash_unit(unit)
    assert (recording.runs[0].unit.value, recording.runs[0].request_id) == (unit, trial.request_id)


def test_requests_are_counted_by_variant_and_outcome(engine: Engine) -> None:
    candidates = [{"name": "candidate", "version": "3"}]
    trials, _ = make_trials(engine, "ramp", candidates=candidates, on_error="control")
    run(trials, begin(trials, "anna"))
    run(trials, begin(trials, "bert"))
    series = {
        (sample.name, *sample.labels.values()): sample.value
        for family in trials.metrics.collect()
        for sample in family.samples
    }
    assert series["adaptact_experiment_requests_total", "exp", "candidate", "failed"] == 1
    assert series["adaptact_experiment_requests_total", "exp", "candidate", "answered"] == 0
    assert series["adaptact_experiment_requests_total", "exp", "control", "answered"] == 1


def test_mirrored_requests_are_counted_too(engine: Engine) -> None:
    trials, _ = make_trials(engine, "shadow", allow_list={})
    run(trials, begin(trials))
    assert trials.metrics.find("exp", "candidate").count()["mirrored"] == 1
    assert trials.metrics.find("exp", "control").count() == {
        "answered": 1,
        "failed": 0,
        "mirrored": 0,
        "mirrored_failed": 0,
    }


def test_a_message_over_grpc_names_its_variant_in_the_span_before_it_runs(engine: Engine) -> None:
    trials, _ = make_trials(engine, "ramp")
    call: Any = SimpleNamespace(headers={"x-adaptact-unit": "anna"})
    request: Any = SimpleNamespace(unit=None)
    attributes: dict[str, Any] = {}
    trial = begin_trial(trials, call, "digits", request, attributes)
    assert trial is not None
    assert attributes == trial.describe_for_traces()
    assert attributes["adaptact.variant"] == "candidate"
