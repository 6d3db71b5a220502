"""The steps of benchmarks/providers.py, each run in a process of its own, for the files of a net in a folder.

A cell is one batch with so many threads. There all take turns: torch.onnx.export's file on the CPU provider,
ours of each provider's table of forms on that provider, what `--provider auto` chooses among ours, and, where
there are their packages, OpenVINO's own runtime on torch's file and torch.compile.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from adaptact.errors import AdaptactError
from adaptact.halving import STAGE_ROUNDS, find_fastest, time_turn
from adaptact.providers.catalogue import ProviderName, find_provider, list_candidates
from adaptact.providers.runtime_errors import ORT_ERRORS
from serve.engine.choosing.timing import MOST_TIMES

FILES = {"torch": "torch.onnx", "cpu": "cpu.onnx", "openvino": "openvino.onnx"}
CHECKPOINT = "model.pt"
PEER, COMPILED, AUTO = "OpenVINO's runtime", "torch.compile", "auto"
CHOICE_SECONDS = 1.0
"""Of timing for the choice of `auto`, as the server has by default."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 15
FAILURES: tuple[type[Exception], ...] = (AdaptactError, *ORT_ERRORS)

Timer = Callable[[], float]
"""One turn: the seconds of one run."""
Feed = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Run:
    """One prediction: the session and its inputs."""

    session: Any
    feed: Feed

    def __call__(self) -> object:
        """Run it."""
        return self.session.run(None, self.feed)

    @property
    def rows(self) -> int:
        """The samples that are predicted; 1 where the file fixes how many."""
        is_free = isinstance(self.session.get_inputs()[0].shape[0], str)
        return len(next(iter(self.feed.values()))) if is_free else 1

    def halve(self) -> "Run":
        """The same of half the samples."""
        return Run(self.session, {name: array[: self.rows // 2] for name, array in self.feed.items()})


Candidate = tuple[ProviderName, int, Run]


class Peer:
    """OpenVINO's own runtime, in the environment that has it; it takes its turns when told to."""

    def __init__(self, python: Path, file: Path, feed: Path, threads: int) -> None:
        script = Path(__file__).with_name("provider_peer.py")
        command = [str(python), str(script), str(file), str(feed), str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.turn()  # it compiles, and chooses kernels

    def turn(self) -> float:
        """The seconds of one run; RuntimeError says why it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise RuntimeError((self._process.stderr.read().splitlines() or ["it ended"])[-1])
        return float(line)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def open_session(path: Path, provider: ProviderName, threads: int, feed: Feed) -> Run:
    """One prediction of the file, on the provider."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Otherwise the threads of the last session would still spin while the next one is timed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = find_provider(provider).open(str(path), options)
    run = Run(session, feed)
    run()
    return run


def choose(folder: Path, threads: int, feed: Feed, runs: Mapping[str, Run]) -> Candidate:
    """What `--provider auto` runs, of our files: the provider, the threads, and its run.

    `runs` has those of all threads, by provider.
    """
    candidates: list[Candidate] = []
    for provider, number in list_candidates(threads):
        if provider in runs:
            run = runs[provider]
            if number != threads:
                run = open_session(folder / FILES[provider], provider, number, feed)
            candidates.append((provider, number, run))
    processor, clock = _choose_clocks(threads)

    def make_turn(run: Run) -> Callable[[], tuple[float]]:
        return lambda: (time_turn(run, perf_counter, processor),)

    turns = [make_turn(run) for _, _, run in _shorten(candidates, clock)]
    start = clock()
    ends = start + CHOICE_SECONDS, start + MOST_TIMES * CHOICE_SECONDS
    return candidates[find_fastest(turns, clock, *ends).chosen]


def _shorten(candidates: Sequence[Candidate], clock: Timer) -> Sequence[Candidate]:
    """The same with as many rows as there is time for, as the server has it."""
    while candidates[0][2].rows > 1:
        start = clock()
        candidates[0][2]()
        if clock() - start <= CHOICE_SECONDS / (STAGE_ROUNDS * len(candidates)):
            break
        candidates = [(provider, threads, run.halve()) for provider, threads, run in candidates]
    for _, _, run in candidates:
        run()
    return candidates


def measure_cell(
    folder: Path, batch: int, threads: int, seconds: float, python: Path | None
) -> dict[str, Any]:
    """The milliseconds of each, the median of their ratios to torch's file, the choice, and what failed."""
    feed = _read_feed(folder, batch)
    failed: dict[str, str] = {}
    runs: dict[str, Run] = {}
    for key, file in FILES.items():
        provider: ProviderName = "openvino" if key == "openvino" else "cpu"
        try:
            runs[key] = open_session(folder / file, provider, threads, feed)
        except FAILURES as error:
            failed[key] = str(error).splitlines()[0][:200]
    provider, number, run = choose(folder, threads, feed, runs)
    if (provider, number) != (provider, threads):
        runs[AUTO] = run
    peer = _open_peer(python, folder, batch, threads, failed)
    times = _take_turns(runs, peer, threads, seconds)
    times.setdefault(AUTO, times[provider])
    return {
        "milliseconds": {key: statistics.median(turns) * 1e3 for key, turns in times.items()},
        "to_torch": {key: _compare(times, key, "torch") for key in times} if "torch" in times else {},
        "to_better": max(_compare(times, AUTO, key) for key in ("cpu", "openvino") if key in times),
        "chosen": [provider, number],
        "rounds": len(times[AUTO]),
        "failed": failed,
    }


def _open_peer(
    python: Path | None, folder: Path, batch: int, threads: int, failed: dict[str, str]
) -> Peer | None:
    if python is None:
        failed[PEER] = "not installed"
        return None
    try:
        return Peer(python, folder / FILES["torch"], find_feed(folder, batch), threads)
    except (RuntimeError, OSError) as error:
        failed[PEER] = str(error)[:200]
        return None


def _take_turns(
    runs: Mapping[str, Callable[[], object]], peer: Peer | None, threads: int, seconds: float
) -> dict[str, list[float]]:
    """The seconds of one run of each in each round."""
    processor, _ = _choose_clocks(threads)
    timers: dict[str, Timer] = {
        key: partial(time_turn, run, perf_counter, processor) for key, run in runs.items()
    }
    if peer is not None:
        timers[PEER] = peer.turn
    times: dict[str, list[float]] = {key: [] for key in timers}
    end = perf_counter() + seconds
    for number in range(MOST_ROUNDS):
        # Back and forth, so that a drift during a round favours none.
        for key in timers if number % 2 == 0 else reversed(list(timers)):
            times[key].append(timers[key]())
        if number + 1 >= FEWEST_ROUNDS and perf_counter() > end:
            break
    if peer is not None:
        peer.close()
    return times


def measure_compiled(net: str, folder: Path, batch: int, seconds: int) -> dict[str, Any]:
    """torch.compile's time over that of torch's file on the CPU provider, one thread; or why there is none.

    It has so many seconds to compile.
    """
    import torch  # noqa: PLC0415  # the other steps go without

    from adaptive_act import load  # noqa: PLC0415
    from benchmarks.provider_subjects import NETS  # noqa: PLC0415
    from benchmarks.real_steps import limit_seconds  # noqa: PLC0415
    from benchmarks.rivals import try_tool  # noqa: PLC0415

    torch.set_num_threads(1)
    example = NETS[net].example(batch)
    model = load(folder / CHECKPOINT).model.eval().requires_grad_(False)
    compiled: Any = torch.compile(model)
    with torch.inference_mode():
        began = perf_counter()
        with limit_seconds(seconds):
            reason = try_tool(lambda: compiled(*example))
        if reason is not None:
            late = perf_counter() - began >= seconds
            return {"why": f"not done after {seconds} s" if late else reason}
        feed = _read_feed(folder, batch)
        runs: dict[str, Callable[[], object]] = {
            "torch": open_session(folder / FILES["torch"], "cpu", 1, feed),
            COMPILED: lambda: compiled(*example),
        }
        times = _take_turns(runs, None, 1, 1.0)
    return {"to_torch": _compare(times, COMPILED, "torch")}


def _choose_clocks(threads: int) -> tuple[Callable[[], float] | None, Callable[[], float]]:
    """What a run of one thread is timed by, None for several; and what the time for choosing is."""
    return (thread_time, process_time) if threads == 1 else (None, perf_counter)


def _compare(times: Mapping[str, list[float]], key: str, to: str) -> float:
    return statistics.median(mine / other for mine, other in zip(times[key], times[to], strict=True))


def find_feed(folder: Path, batch: int) -> Path:
    """The file of the inputs of one run."""
    return folder / f"feed.{batch}.npz"


def _read_feed(folder: Path, batch: int) -> dict[str, NDArray[np.generic]]:
    with np.load(find_feed(folder, batch)) as stored:
        return {name: stored[name] for name in stored.files}


def write_files(net: str, folder: Path, fixed: int | None, batches: Sequence[int]) -> None:
    """Write the checkpoint, torch's file, of one batch where that is fixed, and the inputs of each batch."""
    from benchmarks.provider_subjects import Export  # noqa: PLC0415  # it loads torch

    export = Export(net, fixed)
    export.write(folder, CHECKPOINT, FILES["torch"])
    for batch in batches:
        example = zip(export.subject.inputs, export.example(batch), strict=True)
        arrays = {name: value.numpy() for name, value in example}
        np.savez(find_feed(folder, batch), allow_pickle=False, **arrays)


def main(step: str, net: str, folder: str, *rest: str) -> None:
    """Do one step, and print what it measured."""
    where = Path(folder)
    if step == "files":
        write_files(net, where, int(rest[0]) or None, list(map(int, rest[1:])))
    elif step == "compiled":
        sys.stdout.write(json.dumps(measure_compiled(net, where, int(rest[0]), int(rest[1]))))
    else:
        python = Path(rest[3]) if rest[3] else None
        cell = measure_cell(where, int(rest[0]), int(rest[1]), float(rest[2]), python)
        sys.stdout.write(json.dumps(cell))
