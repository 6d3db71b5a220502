"""Predicts a whole file, batch by batch, from where an earlier run ended."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeAlias

from serve.client.batch.journal import Journal, PredictionJob
from serve.client.batch.parallel import map_in_threads
from serve.client.batch.results import check_written_form, write_results
from serve.client.batch.rows import NO_FILE, ImageRows, TensorRows, read_image_rows, read_tensor_rows
from serve.client.batch.texts import TextRows, names_inputs, read_text_rows, takes_texts
from serve.client.errors import InvalidFileError, InvalidReplyError, UnknownModelError, UnsupportedError
from serve.client.synchronous import Client
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata

SUFFIXES = (".npz", ".csv")

Rows: TypeAlias = TensorRows | ImageRows | TextRows
OnProgress: TypeAlias = Callable[[int, int], object]
"""Called with how many rows have answers, and how many there are."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a run predicts, with which model, and where to."""

    model: str
    version: str | None
    source: Path
    target: Path
    outputs: tuple[str, ...] = ()
    batch: int = 32
    parallel: int = 2
    restart: bool = False


@dataclass(frozen=True, slots=True)
class PredictionSummary:
    """How many rows the result has, how many an earlier run had predicted, and how many have no answer."""

    rows: int
    kept: int
    version: str
    failed: int = 0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """So many rows in batches of so many; the last may be smaller."""

    rows: int
    batch: int

    def batches(self) -> Iterator[tuple[int, int]]:
        """The first row of each batch, and the one after its last."""
        return ((start, min(start + self.batch, self.rows)) for start in range(0, self.rows, self.batch))


def predict_file(client: Client, request: PredictionRequest, on_progress: OnProgress) -> PredictionSummary:
    """The result file holds the model's answer for every row; raises `ClientError`.

    The answers that came before an error stay in the journal beside it, for the next run.
    """
    _check_names(request)
    with Journal(journal_path(request.target)) as journal:
        earlier = None if request.restart else journal.job
        if earlier is not None:
            require_same_job(journal, replace(earlier, model=request.model, outputs=request.outputs))
        version = _choose_version(client, request, earlier)
        model = client.model_metadata(request.model, version or None)
        rows = _read_rows(request, model)
        plan = plan_batches(len(rows), request.batch, model)
        job = PredictionJob(
            request.model, version, rows.fingerprint, plan.batch, request.outputs, request.version
        )
        if earlier is None:
            journal.begin(job)
        else:
            require_same_job(journal, job)
        kept = _ask_all(client, rows, plan, journal, request.parallel, on_progress)
        write_results(request.target, lambda: (dict(journal.answers(start)) for start, _ in plan.batches()))
        journal.remove()
    return PredictionSummary(plan.rows, kept, version)


def journal_path(target: Path) -> Path:
    """Where the answers are kept until the result is complete."""
    return target.with_name(f"{target.name}.partial")


def plan_batches(rows: int, batch: int, model: ModelMetadata) -> BatchPlan:
    """Batches of this size, or of the one that the model takes; raises `InvalidFileError`."""
    size = read_fixed_rows(model)
    if size is None:
        return BatchPlan(rows, batch)
    if rows % size:
        raise InvalidFileError(
            f"model `{model.name}` takes `{size}` rows at once, and the input has `{rows}`, no multiple of it"
        )
    return BatchPlan(rows, size)


def read_fixed_rows(model: ModelMetadata) -> int | None:
    """The only number of rows that the model takes, None where it takes any; raises `InvalidFileError`."""
    fixed = {spec.shape[0] for spec in model.inputs if spec.shape and spec.shape[0] != -1}
    if len(fixed) > 1:
        raise InvalidFileError(
            f"model `{model.name}` has inputs whose first sizes differ: `{sorted(fixed)}`; "
            "it does not take rows"
        )
    return max(1, fixed.pop()) if fixed else None


def _check_names(request: PredictionRequest) -> None:
    source, target = request.source, request.target
    check_written_form(target)
    if not source.is_dir() and source.suffix.lower() not in SUFFIXES:
        raise InvalidFileError(
            f"`{source}` is neither a folder of images nor a file that ends in {' or '.join(SUFFIXES)}"
        )
    if os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source):
        raise InvalidFileError(f"`{source}` {NO_FILE}")
    if os.path.exists(source) and os.path.exists(target) and source.samefile(target):
        raise InvalidFileError(f"`{target}` is the input; name another file for the result")
    if source.is_dir() and request.outputs:
        raise InvalidFileError("outputs cannot be chosen for images: all are in the result")


def _choose_version(client: Client, request: PredictionRequest, earlier: PredictionJob | None) -> str:
    """The number of the one version that answers every row; empty for a server that names none.

    It is the earlier run's where the request names the same version or none, else what the name means now.
    A version that is deployed while a run goes on must not answer a part of it.
    """
    if earlier is not None and request.version in (None, earlier.asked_version):
        return earlier.version
    if request.version is not None:
        return _read_aliases(client, request.model).get(request.version, request.version)
    numbers = [name for name in client.model_metadata(request.model).versions if name.isdecimal()]
    return _read_aliases(client, request.model).get("stable") or max(numbers, key=int, default="")


def _read_aliases(client: Client, model: str) -> dict[str, str]:
    try:
        return client.model_aliases(model)
    except (UnknownModelError, UnsupportedError):  # another server of the protocol
        return {}


def _read_rows(request: PredictionRequest, model: ModelMetadata) -> Rows:
    source = request.source
    if source.is_dir():
        return read_image_rows(source, model)
    if takes_texts(model) and source.suffix.lower() == ".csv" and not names_inputs(source, model):
        return read_text_rows(source, model, request.outputs)
    return read_tensor_rows(source, model, request.outputs)


def require_same_job(journal: Journal, job: PredictionJob) -> None:
    """Raises `InvalidFileError`, which names the differences, where the journal is another job's."""
    if journal.job == job:
        return
    names = [field.name for field in fields(PredictionJob) if field.compare]
    pairs = [(name, getattr(journal.job, name), getattr(job, name)) for name in names]
    changed = [f"{name} `{before}`, now `{now}`" for name, before, now in pairs if before != now]
    raise InvalidFileError(
        f"`{journal.path}` holds answers to something else: {'; '.join(changed)}; "
        "ask the same again to go on with it, or begin anew with `--restart`"
    )


def _ask_all(
    client: Client,
    rows: Rows,
    plan: BatchPlan,
    journal: Journal,
    parallel: int,
    on_progress: OnProgress,
) -> int:
    """Put every batch into the journal; returns how many rows were there before."""
    left = [(start, stop) for start, stop in plan.batches() if start not in journal]
    kept = done = plan.rows - sum(stop - start for start, stop in left)
    on_progress(done, plan.rows)
    assert journal.job is not None
    version = journal.job.version or None
    for (start, stop), answers in map_in_threads(
        lambda batch: rows.ask(client, version, *batch), left, parallel
    ):
        check_rows(answers, stop - start)
        journal.add(start, answers)
        done += stop - start
        on_progress(done, plan.rows)
    return kept


def check_rows(answers: Mapping[str, Array], rows: int) -> None:
    """Raises `InvalidReplyError` unless every output has an answer for each of the rows."""
    for name, array in answers.items():
        if not array.ndim or len(array) != rows:
            raise InvalidReplyError(
                f"output `{name}` has the shape `{list(array.shape)}` for `{rows}` rows: "
                "it has no answer for each; choose other outputs"
            )
