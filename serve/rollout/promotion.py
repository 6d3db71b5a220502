"""What follows from a promotion: the candidate answers whoever names no version."""

import logging

from serve.engine.catalogue import STABLE
from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.experiments.definition import Experiment

log = logging.getLogger("adaptact")


def promote(engine: Engine, experiment: Experiment, candidate: str) -> None:
    """Point the model's alias `stable` at the candidate's version in this process; the log says so.

    What cannot be is logged too: the experiment has ended either way.
    """
    variant = experiment.find_variant(candidate)
    if variant is None:
        return
    name = experiment.model
    try:
        version = engine.model(name, variant.version).version
        if engine.aliases(name).get(STABLE) != version:
            engine.point_alias(name, STABLE, version)
    except EngineError as error:
        log.error("experiment `%s`: `%s` is not promoted here: %s", experiment.name, candidate, error)
    else:
        log.warning("experiment `%s`: version %s of `%s` answers from now on", experiment.name, version, name)
