"""The candidates timed in turns on inputs of one row and of several, and the record of the choice."""

import math
from collections.abc import Callable, Mapping, Sequence
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
from adaptact.providers.machine import describe_processor, list_versions
from convert.manifest.providers import (
    NO_OTHER,
    ProviderChoiceRecord,
    describe_result,
    record_candidate,
    round_timing,
)
from serve.engine.choosing.candidates import Candidate, run_all
from serve.engine.choosing.task import ChoiceTask
from serve.engine.joining import has_rows
from serve.engine.session import ORT_ERRORS
from serve.engine.signature import Array

MOST_ROWS = 8
JUDGED_ON = mark("random inputs as the file describes them")


def time_candidates(
    task: ChoiceTask, candidates: Sequence[Candidate], inputs: dict[str, Array]
) -> ProviderChoiceRecord:
    """The choice among those that have a session; the first one is the CPU provider with all threads."""
    loaded = [candidate for candidate in candidates if candidate.session is not None]
    if len(loaded) == 1:
        return record_choice(task, candidates, verdict=NO_OTHER)
    samples = _choose_batches(task, loaded[0], inputs, len(loaded))
    if not samples:
        text = mark("a run takes too long to be timed within {seconds} s").format(seconds=f"{task.seconds:g}")
        return record_choice(task, candidates, verdict=text)
    turns = [_make_turn(candidate, task.threads, samples) for candidate in loaded]
    for turn in turns:
        turn()  # the first runs take memory, and kernels are chosen in them
    clock = _choose_clock(task)
    start = clock()
    result = find_fastest(turns, clock, start + task.seconds)
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
        processor=describe_processor(),
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
    task: ChoiceTask, base: Candidate, one: dict[str, Array], count: int
) -> dict[int, dict[str, Array]]:
    """Inputs of one row, and of as many more as there is time for; none where there is none even for one."""
    clock = _choose_clock(task)
    left = task.seconds / (STAGE_ROUNDS * count) - max(_time_once(base, one, clock), TURN_SECONDS)
    if left < 0:
        return {}
    signature = base.open_session.signature
    rows = signature.fit_rows(min(task.rows, MOST_ROWS)) if has_rows(signature) else 1
    while rows > 1:
        several = {name: np.repeat(array[:1], rows, axis=0) for name, array in one.items()}
        if max(_time_once(base, several, clock), TURN_SECONDS) <= left:
            return {1: one, rows: several}
        rows = signature.fit_rows(rows // 2)
    return {1: one}


def _choose_clock(task: ChoiceTask) -> Clock:
    """What all candidates are timed by: processor time, which stands still while others have the core.

    Of several threads it would say nothing.
    """
    return process_time if task.threads == 1 else perf_counter


def _time_once(candidate: Candidate, inputs: Mapping[str, Array], clock: Clock) -> float:
    """The seconds of a run that is not the first; infinite where it fails: the first size is no batch."""
    try:
        run_all(candidate.open_session, inputs)
        start = clock()
        run_all(candidate.open_session, inputs)
    except ORT_ERRORS:
        return math.inf
    return clock() - start


def _make_turn(
    candidate: Candidate, threads: int, samples: Mapping[int, Mapping[str, Array]]
) -> Callable[[], Sequence[float]]:
    processor = process_time if threads == 1 else None
    runs = [partial(run_all, candidate.open_session, inputs) for inputs in samples.values()]
    return lambda: [time_turn(run, perf_counter, processor) for run in runs]
