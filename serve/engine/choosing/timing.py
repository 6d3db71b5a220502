"""The candidates timed in turns on inputs of one row and of several, and the record of the choice."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time

import numpy as np

from adaptact.halving import (
    STAGE_ROUNDS,
    TURN_SECONDS,
    Clock,
    find_fastest,
    time_turn,
)
from adaptact.languages.catalogue import mark
from adaptact.providers.catalogue import describe_target, is_on_gpu
from adaptact.providers.machine import list_versions
from convert.manifest.providers import (
    NO_OTHER,
    ProviderChoiceRecord,
    describe_result,
    record_candidate,
    round_timing,
)
from serve.engine.choosing.candidates import Candidate, run_all
from serve.engine.choosing.samples import MOST_NUMBERS
from serve.engine.choosing.task import ChoiceTask
from serve.engine.joining import has_rows
from serve.engine.session import SESSION_ERRORS
from serve.engine.signature import Array, Signature

MOST_ROWS = 8
MOST_TIMES = 3
"""Where two are close, or one only seems faster, timing goes on for up to so many times as long."""
JUDGED_ON = mark("random inputs as the file describes them")


def time_candidates(
    task: ChoiceTask, candidates: Sequence[Candidate], inputs: dict[str, Array]
) -> ProviderChoiceRecord:
    """The choice among those that have a session; the first one is the CPU provider with all threads."""
    loaded = [candidate for candidate in candidates if candidate.session is not None]
    if len(loaded) == 1:
        return record_choice(task, candidates, verdict=NO_OTHER)
    processor = _choose_processor_clock(task, loaded)
    clock = processor or perf_counter
    samples = _choose_batches(task, loaded, inputs, clock)
    if not samples:
        text = mark("a run takes too long to be timed within {seconds} s").format(seconds=f"{task.seconds:g}")
        return record_choice(task, candidates, verdict=text)
    turns = [_make_turn(candidate, processor, samples) for candidate in loaded]
    for turn in turns:
        turn()  # the first runs take memory, and kernels are chosen in them
    start = clock()
    result = find_fastest(turns, clock, start + task.seconds, start + MOST_TIMES * task.seconds)
    timings = dict(zip(map(id, loaded), result.timings, strict=True))
    chosen = loaded[result.chosen]
    records = [
        record_candidate(
            each.provider, each.threads, timings.get(id(each)), each.reason, is_chosen=each is chosen
        )
        for each in candidates
    ]
    spent = round_timing(clock() - start)
    return replace(
        record_choice(task, verdict=describe_result(result)),
        provider=chosen.provider,
        threads=chosen.threads,
        batches=tuple(samples),
        spent=spent,
        judged_on=JUDGED_ON,
        candidates=tuple(records),
    )


def record_choice(
    task: ChoiceTask, candidates: Sequence[Candidate] = (), verdict: str = ""
) -> ProviderChoiceRecord:
    """The CPU provider with all threads, and why."""
    return ProviderChoiceRecord(
        provider="cpu",
        threads=task.threads,
        processor=describe_target(),
        versions=list_versions(),
        batches=(),
        seconds=task.seconds,
        spent=0.0,
        judged_on=JUDGED_ON if candidates else "",
        candidates=tuple(
            record_candidate(each.provider, each.threads, None, each.reason) for each in candidates
        ),
        verdict=verdict,
    )


def _choose_batches(
    task: ChoiceTask, loaded: Sequence[Candidate], one: dict[str, Array], clock: Clock
) -> dict[int, dict[str, Array]]:
    """Inputs of one row, and of as many more as there is time for; none where there is none even for one.

    Where the rows of a usual run are known, of those alone, or of as many of them as there is time for.
    """
    base = loaded[0]
    time_once = partial(_time_once, base, clock=clock)
    turn = task.seconds / (STAGE_ROUNDS * len(loaded))
    left = turn - max(time_once(one), TURN_SECONDS)
    if left < 0:
        return {}
    samples, most = ({}, turn) if task.usual_rows else ({1: one}, left)
    for rows in _list_rows(task, base.open_session.signature, sum(array.size for array in one.values())):
        several = {name: np.repeat(array[:1], rows, axis=0) for name, array in one.items()}
        if max(time_once(several), TURN_SECONDS) <= most:
            return {**samples, rows: several}
    return {1: one}


def _list_rows(task: ChoiceTask, signature: Signature, numbers: int) -> Iterator[int]:
    """The rows beyond one that are tried, each half of those before; a row has so many numbers."""
    rows = (task.usual_rows or min(task.rows, MOST_ROWS)) if has_rows(signature) else 1
    while (rows := signature.fit_rows(rows)) > 1:
        if rows * numbers <= MOST_ROWS * MOST_NUMBERS:
            yield rows
        rows //= 2


def _choose_processor_clock(task: ChoiceTask, loaded: Sequence[Candidate]) -> Clock | None:
    """The processor time, which stands still while others have the core, if all can be timed by it.

    Of several threads, and of a GPU, it would say nothing: then all are timed by the clock on the wall.
    """
    is_alone = task.threads == 1 and not any(is_on_gpu(candidate.provider) for candidate in loaded)
    return process_time if is_alone else None


def _time_once(candidate: Candidate, inputs: Mapping[str, Array], clock: Clock) -> float:
    """The seconds of a run that is not the first; infinite where it fails: the first size is no batch."""
    try:
        run_all(candidate.open_session, inputs)
        start = clock()
        run_all(candidate.open_session, inputs)
    except SESSION_ERRORS:
        return math.inf
    return clock() - start


def _make_turn(
    candidate: Candidate, processor: Clock | None, samples: Mapping[int, Mapping[str, Array]]
) -> Callable[[], Sequence[float]]:
    runs = [partial(run_all, candidate.open_session, inputs) for inputs in samples.values()]
    return lambda: [time_turn(run, perf_counter, processor) for run in runs]
