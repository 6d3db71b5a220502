from collections.abc import Sequence

import onnx_ir as ir
import pytest

from adaptact.errors import ProviderError
from adaptact.halving import Turn
from adaptact.providers.catalogue import ProviderName
from convert.errors import ExportError, ParityError
from convert.manifest.providers import CANNOT_RUN, NO_ROOM, UNUSABLE, ProviderChoiceRecord
from convert.tuning import providers
from convert.tuning.providers import ProviderTarget, ProviderTask, choose_provider
from convert.tuning.tune import TuningOptions
from tests.played_gpu import play_gpus

GRAPH = ir.Model(ir.Graph([], [], nodes=[]), ir_version=10)


class Machine:
    """A clock that goes on with each turn; `seconds` of a run on one thread, by provider."""

    def __init__(self, **seconds: float) -> None:
        self.time = 0.0
        self.seconds = seconds
        self.loaded: list[tuple[str, int]] = []

    def now(self) -> float:
        return self.time

    def load(self, graph: ir.Model, provider: ProviderName, threads: int) -> Turn:
        if provider not in self.seconds:
            raise ExportError(f"{provider} has no kernel for it")
        self.loaded.append((provider, threads))

        def turn() -> Sequence[float]:
            self.time += self.seconds[provider] / threads
            return (self.seconds[provider] / threads,)

        return turn


def choose(
    machine: Machine, refused: Exception | None = None, threads: int = 1, seconds: float = 1000.0
) -> ProviderChoiceRecord:
    def judge(provider: ProviderName) -> None:
        assert provider != "cpu"  # parity of the file itself judges that one
        if refused is not None:
            raise refused

    options = TuningOptions("auto", threads, (1,), seconds)
    return choose_provider(ProviderTask(lambda provider: GRAPH, judge, machine), options)


@pytest.mark.parametrize(("openvino", "chosen"), [(0.5, "openvino"), (0.995, "cpu"), (2.0, "cpu")])
def test_the_fastest_provider_is_chosen(openvino: float, chosen: str) -> None:
    choice = choose(Machine(cpu=1.0, openvino=openvino))
    assert (choice.provider, choice.threads) == (chosen, 1)
    assert [each.ratio for each in choice.candidates] == [1.0, openvino]
    assert [each.provider for each in choice.candidates if not each.reason] == [chosen]


def test_a_gpu_is_chosen_where_it_is_faster_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    play_gpus(monkeypatch)
    machine = Machine(cpu=1.0, openvino=0.8, cuda=0.3)
    choice = choose(machine, threads=2)
    assert machine.loaded[:3] == [("cpu", 2), ("cuda", 2), ("openvino", 2)]
    assert ("cuda", 1) not in machine.loaded
    assert (choice.provider, choice.candidates[3].reason) == ("cuda", CANNOT_RUN)


def test_beside_a_gpu_all_are_timed_by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that asked a GPU waits, and takes no processor time."""
    options = TuningOptions("auto", 1, (1,), 1.0)
    assert ProviderTarget([], options)._processor is not None
    play_gpus(monkeypatch)
    assert ProviderTarget([], options)._processor is None


def test_fewer_threads_are_tried_too() -> None:
    machine = Machine(cpu=1.0, openvino=0.8)
    choice = choose(machine, threads=2)
    assert machine.loaded == [("cpu", 2), ("openvino", 2), ("cpu", 1), ("openvino", 1)]
    assert (choice.provider, choice.threads) == ("openvino", 2)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ParityError("parity failed for output `y`"), "parity failed for output `y`"),
        (ProviderError("`/home/me/plug-in.so` is no file"), UNUSABLE),
        (ExportError("ONNX Runtime refuses `/tmp/graph`"), CANNOT_RUN),
    ],
)
def test_a_provider_that_is_less_exact_or_unusable_is_not_timed(error: Exception, reason: str) -> None:
    machine = Machine(cpu=1.0, openvino=0.1)
    choice = choose(machine, error, threads=2)
    assert choice.provider == "cpu"
    assert machine.loaded == [("cpu", 2), ("cpu", 1)]
    assert [each.reason for each in choice.candidates if each.provider == "openvino"] == [reason] * 2


def test_a_provider_that_cannot_load_the_graph_is_no_error() -> None:
    choice = choose(Machine(cpu=1.0))
    assert choice.candidates[1].reason == CANNOT_RUN
    assert choice.verdict == "no other provider can be used"


def test_a_provider_whose_graph_cannot_be_built_is_no_error() -> None:
    def build(provider: ProviderName) -> ir.Model:
        if provider != "cpu":
            raise ExportError("it cannot be rounded so")
        return GRAPH

    task = ProviderTask(build, lambda provider: None, Machine(cpu=1.0, openvino=0.1))
    choice = choose_provider(task, TuningOptions("auto", 1, (1,), 1000.0))
    assert [each.reason for each in choice.candidates] == ["", CANNOT_RUN]


def test_only_so_many_copies_of_the_weights_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "count_weight_bytes", lambda graph: providers.MOST_WEIGHTS // 3)
    machine = Machine(cpu=1.0, openvino=0.8)
    choice = choose(machine, threads=4)
    assert machine.loaded == [("cpu", 4), ("openvino", 4), ("cpu", 1)]
    assert [each.reason == NO_ROOM for each in choice.candidates] == [False] * 3 + [True] * 3


def test_a_graph_that_the_cpu_provider_cannot_load_is_an_error() -> None:
    with pytest.raises(ExportError):
        choose(Machine(openvino=1.0))


@pytest.mark.parametrize(("openvino", "most"), [(0.88, 10.0), (0.97, 20.0)])
def test_a_quarter_of_the_time_is_taken_and_half_where_two_are_close(openvino: float, most: float) -> None:
    choice = choose(Machine(cpu=1.0, openvino=openvino), seconds=40.0)
    assert choice.seconds == 10.0
    assert most <= choice.spent < most + 2.0
