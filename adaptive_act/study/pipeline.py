"""The study from plan to report: the data flow, one line a stage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adaptact.cluster import TaskCluster
from adaptact.cores import available_cores
from adaptive_act.errors import StudyError
from adaptive_act.study import report, results
from adaptive_act.study.cost import ROUNDS, measure_costs
from adaptive_act.study.data import Dataset, load_dataset
from adaptive_act.study.execute import execute_runs
from adaptive_act.study.learned_curves import compare_curves
from adaptive_act.study.on_cluster import ClusterMachines
from adaptive_act.study.own_code import resolve_loop
from adaptive_act.study.parallel import LocalProcesses, Machines, use_one_thread
from adaptive_act.study.plan import Plan, list_run_specs, make_run_spec
from adaptive_act.study.results import Results, gather_results
from adaptive_act.study.robustness import measure_corrupted
from adaptive_act.study.run import RunResult, TrialResult, build_untrained
from adaptive_act.study.task import Metric
from adaptive_act.study.tuning import list_trial_specs, tune

RESULTS = "results.json"

OnStage = Callable[[str, int], Callable[[str], None]]
"""Called with a stage's name and number of steps; its result is called after each step with what was done."""


def study(
    plan: Plan,
    output: Path,
    jobs: int | None = None,
    on_stage: OnStage | None = None,
    cluster: TaskCluster | None = None,
) -> Results:
    """The results of `plan`, also written to `output` as results.json, report.md and report.html.

    With several rates to choose from, that of each variant is chosen first, on the validation samples.
    Every finished run is kept in `output` and never repeated; the same plan gives the same numbers, measured
    times aside. `jobs` processes train at once (None: one for each core); with more than one, a script that
    calls this needs `if __name__ == "__main__":`. With a `cluster` they train there.
    Raises DataError, StudyError, FactoryError or SwapError.
    """
    on_stage = on_stage or _ignore_stage
    machines = _choose_machines(jobs, cluster)
    jobs = available_cores() if jobs is None or cluster is not None else jobs
    data = load_dataset(plan.data)
    check_plan(plan, data)
    output.mkdir(parents=True, exist_ok=True)
    on_trial = _report_trials(
        data.task.score, on_stage("tune learning rates", len(list_trial_specs(plan, data.digest)))
    )
    plan, tuning = tune(plan, data.digest, output, machines, on_trial)
    specs = list_run_specs(plan, data.digest)
    on_run = _report_runs(data.task.score, on_stage("train", len(specs)))
    runs = execute_runs(specs, output, machines, on_run)
    corrupted_runs = len(plan.few_seeds) * len(plan.all_variants) if plan.robustness else 0
    on_corrupted = _report_steps(on_stage("corrupt test samples", corrupted_runs))
    accuracies = measure_corrupted(plan, data, output, jobs, on_corrupted)
    on_measured = _report_steps(on_stage("measure cost", (ROUNDS + 1) * plan.cost))
    costs = measure_costs(plan, data, output, jobs, on_measured)
    gathered = gather_results(plan, data, runs, accuracies, costs, tuning)
    results.write_results(gathered, output / RESULTS)
    report.write_report(gathered, compare_curves(plan, data, output), output)
    return gathered


def _choose_machines(jobs: int | None, cluster: TaskCluster | None) -> Machines:
    return LocalProcesses(jobs or available_cores()) if cluster is None else ClusterMachines(cluster, jobs)


def check_plan(plan: Plan, data: Dataset) -> None:
    """Builds every variant once, so that a variant that cannot be built fails before any training.

    Raises StudyError, FactoryError or SwapError; also where an own training loop takes other arguments.
    """
    if plan.robustness and not data.classes:
        raise StudyError(f"robustness needs data of classes, got numbers to predict in `{data.name}`")
    if plan.training.loop is not None:
        resolve_loop(plan.training.loop)
    plan = replace(plan, rates=plan.rates[:1])  # whichever it will be, the networks are the same
    specs = list_run_specs(plan, data.digest)
    first = {spec.variant: spec for spec in specs if spec.data == plan.data}
    with use_one_thread():
        for spec in first.values():
            build_untrained(spec, data)
    for source in {spec.data for spec in specs if spec.seed == plan.seeds[0]}:
        load_dataset(source)
    load_dataset(make_run_spec(plan, data.digest, plan.baseline, plan.seeds[0]).data)


def _ignore_stage(stage: str, total: int) -> Callable[[str], None]:
    return lambda _: None


def _report_trials(metric: Metric, on_step: Callable[[str], None]) -> Callable[[TrialResult, bool], None]:
    def on_trial(result: TrialResult, is_known: bool) -> None:
        kept = ", was there" if is_known else ""
        on_step(f"{result.variant} at {result.lr:g}: {metric.label} {metric.write(result.score)}{kept}")

    return on_trial


def _report_runs(metric: Metric, on_step: Callable[[str], None]) -> Callable[[RunResult, bool], None]:
    def on_run(result: RunResult, is_known: bool) -> None:
        kept = ", was there" if is_known else ""
        on_step(f"{result.variant}, seed {result.seed}: {metric.label} {metric.write(result.score)}{kept}")

    return on_run


def _report_steps(on_step: Callable[[str], None]) -> Callable[[], None]:
    return lambda: on_step("")
