"""What the recorder hands to the store's writer."""

import numpy as np

from serve.engine.sampling import Sampler
from serve.experiments.request_ids import RequestIds
from serve.experiments.routing import make_routes
from serve.experiments.stages import Phase
from serve.experiments.store.exposures import WriterCounts
from serve.experiments.store.records import Arm, Inference
from serve.rollout.recorder import Recorder, VariantRun
from tests.serve.experiments.definitions import make_experiment


class Writing:
    """Keeps what is noted in place of a writer."""

    def __init__(self) -> None:
        self.arms: list[Arm] = []
        self.answers: list[tuple[str, int]] = []

    def handle(self, arm: Arm) -> int:
        self.arms.append(arm)
        return len(self.arms) - 1

    def note_inference(self, handle: int, unit: bytes, inference: Inference) -> None:
        self.answers.append((self.arms[handle].variant, self.arms[handle].comparison))

    def counts(self) -> WriterCounts:
        return WriterCounts(0, 0, 0)

    def close(self) -> None:
        pass


def test_answers_to_an_allow_list_are_of_no_comparison() -> None:
    experiment = make_experiment(allow_list={"anna": "candidate"})
    phase = Phase(3, 2, "ramp", 100.0, 0, "anne", "")
    route = make_routes([(experiment, phase)])["digits"]
    writing = Writing()
    recorder = Recorder(writing, RequestIds(b"k" * 32), Sampler(1e9, 1e9))  # type: ignore[arg-type]  # it only keeps
    for name in ("anna", *(f"unit{number}" for number in range(20))):
        decision = route.decide(name, None, "r")
        assert decision is not None
        about = decision.treatment, decision.treatment.answer, "2", decision.unit, f"r{name}", 1, 1, 0
        recorder.note(VariantRun(*about, (np.zeros((1, 2)),), False))
    recorder.close()
    assert writing.answers[0] == ("candidate", 0)
    assert set(writing.answers[1:]) == {("candidate", 2), ("control", 2)}
