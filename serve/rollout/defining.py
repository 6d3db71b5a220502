"""Experiments that a file defines: at the start of each server, where the file is new or has changed.

What was amended since, over the API, stays as it is: a worker that starts again must not undo it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from serve.experiments.definition import Experiment
from serve.experiments.reading import read_experiments
from serve.experiments.reasons import FILE, REASONS
from serve.experiments.stages import Change
from serve.experiments.store.database import now
from serve.experiments.store.registry import Prepare, Registry


def define_from_file(
    registry: Registry,
    path: Path,
    clock: Callable[[], int] = now,
    prepare: Prepare = lambda experiment, phase: phase,
) -> None:
    """Define or amend what the file says otherwise than when it was read last.

    `prepare` is as of `Registry.define`. Raises `DefinitionError`, `StoreError`, `StageError` where an
    experiment's stage allows no change, and as `prepare` does.
    """
    known = registry.read_revisions()
    for experiment in read_experiments(path):
        reason = REASONS["file"].format(digest=_digest(experiment), file=path.name)
        if experiment.name in known and _was_read(registry, experiment.name, reason):
            continue
        change = Change(clock(), FILE, reason)
        defined = registry.define(experiment, change, prepare)
        if defined.revision == known.get(experiment.name):
            # It was so already; unless that is kept, the file would undo what is amended from now on.
            registry.agree(experiment.name, change)


def _was_read(registry: Registry, name: str, reason: str) -> bool:
    """Whether the file said the same when it last changed something."""
    entries = (entry for entry in registry.read_audit(name) if entry.by == FILE)
    newest = next(entries, None)
    return newest is not None and newest.detail.endswith(reason)


def _digest(experiment: Experiment) -> str:
    return hashlib.sha256(experiment.model_dump_json().encode()).hexdigest()[:16]
