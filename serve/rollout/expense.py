"""What the variants of an experiment take, as this process has measured their models."""

from collections.abc import Mapping

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.experiments.definition import Experiment
from serve.experiments.findings import Expense
from serve.experiments.routing import Target, find_target
from serve.experiments.stages import Phase

LEAST_REQUESTS = 20
"""Before so many the first runs, which take longer, would decide."""
TIMED_RUNS = 16
"""After each measurement the processor time of so many runs is measured, for the next one."""


def measure_expense(engine: Engine, experiment: Experiment, phase: Phase) -> Mapping[str, Expense]:
    """What each variant takes, by its name; nothing of one that has hardly run.

    Only the model's runs count, which are what variants differ in, of all requests since this process has
    begun; nothing of it is stored. The processor time is measured on some of them, and the memory meanwhile
    in a process of its own, so that both are not known before the second call.
    """
    targets = (find_target(experiment, phase, variant) for variant in experiment.variants)
    found = {target.variant: _measure(engine, target) for target in targets}
    return {name: expense for name, expense in found.items() if expense is not None}


def _measure(engine: Engine, target: Target) -> Expense | None:
    try:
        model = engine.model(target.model, target.version)
    except EngineError:
        return None
    model.processor_time.wanted = TIMED_RUNS
    known = model.metrics.statistics()
    requests = known.inference_stats.compute_infer.count
    if requests < LEAST_REQUESTS:
        return None
    # Requests that ran together share the seconds of their run.
    run_seconds = sum(batch.compute_infer.ns for batch in known.batch_stats) / 1e9
    rows = max((batch.batch_size for batch in known.batch_stats), default=1)
    cpu_seconds = model.processor_time.estimate(run_seconds)
    return Expense(
        model_bytes=model.file_bytes,
        memory_bytes=None if model.footprint is None else model.footprint.find(rows),
        run_seconds_per_thousand=1000 * run_seconds / requests,
        cpu_seconds_per_thousand=None if cpu_seconds is None else 1000 * cpu_seconds / requests,
    )
