"""What the variants of an experiment take, as this process has measured their models."""

from collections.abc import Mapping

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.experiments.definition import Experiment, Variant
from serve.experiments.findings import Expense

LEAST_REQUESTS = 20
"""Before so many the first runs, which take longer, would decide."""


def measure_expense(engine: Engine, experiment: Experiment) -> Mapping[str, Expense]:
    """What each variant takes, by its name; nothing of one that has hardly run.

    Only the seconds of the model's runs count, which are what variants differ in, by the clock: on a busy
    machine they are more, in all variants alike. They are of all requests since this process has begun, and
    nothing of it is stored. Memory is not measured: a process does not know which of its memory is whose.
    """
    found = {variant.name: _measure(engine, experiment, variant) for variant in experiment.variants}
    return {name: expense for name, expense in found.items() if expense is not None}


def _measure(engine: Engine, experiment: Experiment, variant: Variant) -> Expense | None:
    try:
        model = engine.model(experiment.model_of(variant), variant.version)
    except EngineError:
        return None
    known = model.metrics.statistics()
    requests = known.inference_stats.compute_infer.count
    if requests < LEAST_REQUESTS:
        return None
    # Requests that ran together share the seconds of their run.
    spent = sum(batch.compute_infer.ns for batch in known.batch_stats) / 1e9
    return Expense(run_seconds_per_thousand=1000 * spent / requests)
