"""The trial of the providers on one model: `python -m serve.engine.choosing.trial JSON` prints the choice.

It is a process of its own. With it goes whatever the losing sessions took, a plug-in that ends its process
ends nothing else, and the processor time is the trial's alone.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from adaptact.languages.catalogue import mark
from adaptact.memory import share_one_arena
from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.choosing.answers import are_same, explain_silence
from serve.engine.choosing.candidates import Answer, Candidate, open_others, run_all
from serve.engine.choosing.samples import SIZES, find_unmade, make_inputs
from serve.engine.choosing.task import LIMIT_SECONDS, ChoiceTask
from serve.engine.choosing.timing import record_choice, time_candidates
from serve.engine.model_files import ModelFiles, compute_digest, open_files
from serve.engine.repository import ModelFile
from serve.engine.session import SESSION_ERRORS, Session, SessionOptions
from serve.engine.signature import Array

PR_SET_PDEATHSIG = 1  # of prctl(2), which Python does not have
NICENESS = 10  # requests run meanwhile; what counts is processor time, or the least of many times
FIRST_TO_END = "1000"  # of all processes, where memory is short
SEEDS = (0, 1, 2)


def try_providers(task: ChoiceTask, files: ModelFiles) -> ProviderChoiceRecord:
    """The choice; the CPU provider with all threads where nothing is clearly faster and as exact."""
    base = Session(files, SessionOptions(task.threads))
    reason = find_unmade(base.signature)
    inputs = [] if reason else _make_samples(base)
    if not inputs:
        return record_choice(task, verdict=reason or mark("the model takes none of the random inputs"))
    answers = [run_all(base, sample) for sample in inputs]
    reason = _find_weakness(base, inputs, answers)
    if reason:
        return record_choice(task, verdict=reason)
    candidates = [Candidate("cpu", task.threads, base), *open_others(task, files, base, inputs, answers)]
    return time_candidates(task, candidates, inputs[0])


def _make_samples(base: Session) -> list[dict[str, Array]]:
    """A few samples of one row that the model takes; none where it takes none of those tried."""
    for size in SIZES:
        try:
            samples = [make_inputs(base.signature, base.manifest, 1, size, seed) for seed in SEEDS]
            for sample in samples:
                run_all(base, sample)
        except (ValueError, OverflowError):
            continue
        except SESSION_ERRORS:
            continue
        return samples
    return []


def _find_weakness(base: Session, inputs: Sequence[Mapping[str, Array]], answers: Sequence[Answer]) -> str:
    """Why the answers would not show whether another provider computes the same; empty where they do."""
    if not are_same(answers[0], run_all(base, inputs[0])):
        return mark("its answers to the same input differ from run to run")
    return explain_silence(answers)


def main() -> None:
    """Print the choice for the task in the arguments."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(LIMIT_SECONDS)
    os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END)
    share_one_arena()
    task = ChoiceTask.from_json(sys.argv[1])
    entry = ModelFile(task.name, task.version, Path(task.path), bare=task.is_bare)
    with open_files(entry, task.limit_bytes) as files:
        if compute_digest(files) != task.digest:
            raise SystemExit("the file has changed")
        choice = try_providers(task, files)
    sys.stdout.write(json.dumps(asdict(choice), allow_nan=False))
    sys.stdout.flush()
    os._exit(0)  # a plug-in's threads may not end by themselves


if __name__ == "__main__":
    main()
