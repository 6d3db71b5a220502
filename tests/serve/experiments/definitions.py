"""Definitions for tests, with the least that they need."""

from typing import Any

from serve.experiments.definition import Experiment
from serve.experiments.parsing import parse_experiment


def make_document(**fields: Any) -> dict[str, Any]:
    """What a file holds of an experiment with two variants; fields given replace or add to it."""
    return {
        "name": "exp",
        "model": "digits",
        "control": {"name": "control"},
        "candidates": [{"name": "candidate", "version": "2"}],
        **fields,
    }


def make_experiment(**fields: Any) -> Experiment:
    """The experiment of `make_document`."""
    return parse_experiment(make_document(**fields))
