import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.manifest.decode import decode
from convert.manifest.providers import UNUSABLE, ProviderChoiceRecord
from serve.engine.choosing import candidates, timing
from serve.engine.choosing.candidates import Candidate
from serve.engine.choosing.task import ChoiceTask
from serve.engine.choosing.trial import try_providers
from serve.engine.errors import ProviderError
from serve.engine.model_files import ModelFiles, compute_digest, open_files
from serve.engine.providers import CudaOptions
from serve.engine.repository import ModelFile
from serve.engine.session import Session, SessionOptions
from serve.engine.signature import Array
from tests.openvino import require_openvino
from tests.played_gpu import play_gpus
from tests.serve import models
from tests.serve.engine.loading import LIMIT_BYTES

NOISE = "noise (float[N, 3] x) => (float[N, 3] y) {\n r = RandomNormalLike(x)\n y = Add(x, r)\n}"
CONSTANT = "none (float[N, 3] x) => (float[N, 3] y) {\n z = Sub(x, x)\n y = Mul(z, x)\n}"
NOT_A_NUMBER = "nan (float[N, 3] x) => (float[N, 3] y) {\n z = Sub(x, x)\n y = Div(z, z)\n}"
TEXT = "text (string[N] x) => (string[N] y) { y = Identity(x) }"


class OtherSession(Session):
    """The CPU provider's answers, times `factor`, under another provider's name."""

    factor = 1.0

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], options: object = None) -> list[Array]:
        return [np.multiply(array, self.factor).astype(array.dtype) for array in super().run(inputs, outputs)]


def put(folder: Path, text: str) -> ChoiceTask:
    path = models.put(folder, "m", models.model(text))
    with open_files(ModelFile("m", "1", path), LIMIT_BYTES) as files:
        return ChoiceTask("m", "1", str(path), False, compute_digest(files), LIMIT_BYTES, 1, 8, 1.0)


def try_on(task: ChoiceTask) -> ProviderChoiceRecord:
    with open_files(ModelFile("m", "1", Path(task.path)), LIMIT_BYTES) as files:
        return try_providers(task, files)


def pretend(monkeypatch: pytest.MonkeyPatch, seconds: float, kind: type[Session] = OtherSession) -> None:
    """OpenVINO is the CPU provider, and takes so much of its time."""

    def open_other(files: ModelFiles, options: SessionOptions) -> Candidate:
        opened = kind if options.provider == "openvino" else Session
        return Candidate(options.provider, options.threads, opened(files, SessionOptions(options.threads)))

    def make_turn(
        candidate: Candidate, processor: object, samples: Mapping[int, object]
    ) -> Callable[[], list[float]]:
        share = seconds if candidate.provider == "openvino" else 1.0
        return lambda: [share / candidate.threads for _ in samples]

    monkeypatch.setattr(candidates, "_open", open_other)
    monkeypatch.setattr(timing, "_make_turn", make_turn)


def test_the_faster_provider_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0.5)
    choice = try_on(put(tmp_path, models.DOUBLE))
    assert (choice.provider, choice.threads, choice.batches) == ("openvino", 1, (1, 8))
    assert [(each.provider, each.ratio) for each in choice.candidates] == [("cpu", 1.0), ("openvino", 0.5)]
    assert choice.verdict == "it takes 0.50 of the CPU provider's time"


def test_the_cpu_provider_stays_where_no_other_is_clearly_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 0.995)
    choice = try_on(put(tmp_path, models.DOUBLE))
    assert (choice.provider, choice.verdict) == (
        *("cpu", "no other is clearly faster than the CPU provider"),
    )


def test_fewer_threads_are_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0.5)
    choice = try_on(replace(put(tmp_path, models.DOUBLE), threads=4))
    tried = [(each.provider, each.threads) for each in choice.candidates]
    assert tried == [("cpu", 4), ("openvino", 4), ("cpu", 1), ("openvino", 1), ("cpu", 2), ("openvino", 2)]
    assert (choice.provider, choice.threads) == ("openvino", 4)


def test_a_gpu_is_tried_as_it_would_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA is chosen by the clock on the wall: the thread that asked it takes no processor time."""
    cuda, clocks = play_gpus(monkeypatch), list[object]()

    def make_turn(
        candidate: Candidate, processor: object, samples: Mapping[int, object]
    ) -> Callable[[], list[float]]:
        clocks.append(processor)
        share = 0.3 if candidate.provider == "cuda" else 1.0
        return lambda: [share for _ in samples]

    monkeypatch.setattr(timing, "_make_turn", make_turn)
    options = CudaOptions(device=1, memory_limit_bytes=2**20, graph_rows=())
    task = ChoiceTask.from_json(replace(put(tmp_path, models.DOUBLE), cuda=options).to_json())
    choice = try_on(task)
    assert (choice.provider, choice.verdict) == ("cuda", "it takes 0.30 of the CPU provider's time")
    assert choice.candidates[3].reason == UNUSABLE
    assert set(clocks) == {None}
    ((native, device),) = cuda.opened
    assert (native["gpu_mem_limit"], device) == (str(2**20), 1)


def test_a_provider_that_is_less_exact_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Inexact(OtherSession):
        factor = 1.001

    pretend(monkeypatch, 0.5, Inexact)
    choice = try_on(put(tmp_path, models.DOUBLE))
    assert choice.provider == "cpu"
    assert "output `y`: it differs by" in choice.candidates[1].reason
    assert choice.candidates[1].microseconds == ()


def test_a_provider_that_answers_what_the_cpu_refuses_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(OtherSession):
        def run(
            self, inputs: Mapping[str, Array], outputs: Sequence[str], options: object = None
        ) -> list[Array]:
            return super().run({name: array % 3 for name, array in inputs.items()}, outputs)

    pretend(monkeypatch, 0.5, Careless)
    choice = try_on(put(tmp_path, models.LOOKUP))
    assert choice.provider == "cpu"
    assert "too large, which the CPU provider refuses" in choice.candidates[1].reason


def test_a_provider_that_computes_whole_numbers_in_fewer_bits_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Narrow(OtherSession):
        def run(
            self, inputs: Mapping[str, Array], outputs: Sequence[str], options: object = None
        ) -> list[Array]:
            narrow = {name: array.astype(np.int32).astype(np.int64) for name, array in inputs.items()}
            return super().run(narrow, outputs)

    pretend(monkeypatch, 0.5, Narrow)
    choice = try_on(put(tmp_path, "sum (int64[N] x) => (int64[N] y) { y = Add(x, x) }"))
    assert choice.candidates[1].reason == "it answers large whole numbers otherwise"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NOISE, "differ from run to run"),
        (CONSTANT, "the same for all random inputs"),
        (NOT_A_NUMBER, "not finite"),
        (TEXT, "texts"),
    ],
)
def test_answers_that_prove_nothing_keep_the_cpu_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    pretend(monkeypatch, 0.5)
    choice = try_on(put(tmp_path, text))
    assert choice.provider == "cpu"
    assert reason in choice.verdict


def test_a_missing_plug_in_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def require(name: str) -> None:
        if name != "cpu":
            raise ProviderError(f"`{name}` is not installed")

    monkeypatch.setattr(candidates, "require_provider", require)
    choice = try_on(put(tmp_path, models.DOUBLE))
    assert choice.candidates[1].reason == UNUSABLE
    assert choice.verdict == "no other provider can be used"


def test_a_run_that_takes_too_long_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0.5)
    monkeypatch.setattr(timing, "_time_once", lambda candidate, inputs, clock: 0.5)
    choice = try_on(put(tmp_path, models.DOUBLE))
    assert (choice.provider, choice.spent) == ("cpu", 0.0)
    assert "too long to be timed within 1 s" in choice.verdict


def test_several_rows_are_left_out_where_the_time_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 0.5)
    monkeypatch.setattr(
        timing, "_time_once", lambda candidate, inputs, clock: 0.03 * len(next(iter(inputs.values())))
    )
    assert try_on(put(tmp_path, models.DOUBLE)).batches == (1, 4)


@pytest.mark.parametrize(
    ("usual", "chosen", "batches"), [(0, "cpu", (1, 8)), (1, "cpu", (1,)), (8, "openvino", (8,))]
)
def test_the_rows_of_a_usual_run_decide_where_they_are_known(
    usual: int, chosen: str, batches: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 1.0)

    def make_turn(
        candidate: Candidate, processor: object, samples: Mapping[int, object]
    ) -> Callable[[], list[float]]:
        seconds = {"cpu": {1: 1.0, 8: 8.0}, "openvino": {1: 3.0, 8: 5.0}}[candidate.provider]
        return lambda: [seconds[rows] for rows in samples]

    monkeypatch.setattr(timing, "_make_turn", make_turn)
    choice = try_on(replace(put(tmp_path, models.DOUBLE), usual_rows=usual))
    assert (choice.provider, choice.batches) == (chosen, batches)


def test_no_more_rows_are_made_than_there_is_memory_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 0.5)
    monkeypatch.setattr(timing, "MOST_NUMBERS", 12)  # 32 rows of three numbers
    choice = try_on(replace(put(tmp_path, models.DOUBLE), usual_rows=65_536))
    assert choice.batches == (32,)


@pytest.mark.slow
def test_the_process_of_a_trial_chooses_with_openvino_itself(tmp_path: Path) -> None:
    require_openvino()
    task = put(tmp_path, models.DOUBLE)
    command = [
        sys.executable,
        "-P",
        "-m",
        "serve.engine.choosing.trial",
        replace(task, seconds=0.2).to_json(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    choice = decode(ProviderChoiceRecord, json.loads(done.stdout), "choice")
    assert [each.provider for each in choice.candidates] == ["cpu", "openvino"]
    assert all(each.rounds for each in choice.candidates)
