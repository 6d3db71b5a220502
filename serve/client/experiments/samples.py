"""Logged inputs and outputs as a file of JSON lines, read from the store."""

from pathlib import Path

from adaptact.errors import OutputError
from adaptact.files import replace_file
from serve.experiments.store.database import Store
from serve.experiments.store.logged_samples import read_samples
from serve.experiments.store.registry import Registry


def write_samples(store: Store, experiment: str, path: Path) -> int:
    """How many logged requests are in the file now, which is whole or as it was before.

    Raises `UnknownExperimentError`, `StoreError`, or `OutputError` where the file cannot be written.
    """
    Registry(store).read(experiment)
    count = 0
    try:
        with replace_file(path) as new, new.open("w", encoding="utf-8") as lines:
            for sample in read_samples(store, experiment):
                lines.write(sample.write_line() + "\n")
                count += 1
    except OSError as error:
        raise OutputError(f"cannot write `{path}`: {error.strerror or error}") from error
    return count
