"""Predicts files by a model's file, shard by shard, from where an earlier run ended."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serve.client.batch.journal import Journal, PredictionJob
from serve.client.batch.offline.answers import AnswerOptions, answer_shard, fill_rows, has_answer
from serve.client.batch.offline.model import FILE, LocalModel
from serve.client.batch.offline.model_files import ModelFiles, read_model_files
from serve.client.batch.offline.opening import open_sources
from serve.client.batch.offline.shards import (
    Shard,
    ShardPlan,
    ShardSize,
    Source,
    plan_shards,
    require_unchanged,
)
from serve.client.batch.parallel import map_in_threads
from serve.client.batch.results import ERROR, KEPT, Table, check_written_form, write_results
from serve.client.batch.run import (
    OnProgress,
    PredictionSummary,
    journal_path,
    read_fixed_rows,
    require_same_job,
)
from serve.client.errors import InvalidFileError
from serve.engine.errors import InvalidInputError

DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class OfflineRequest:
    """What a run predicts, by which file, and where to."""

    model: Path
    source: Path
    target: Path
    outputs: tuple[str, ...] = ()
    batch: int = 32
    restart: bool = False
    keep_going: bool = False


class AnswerShards(Protocol):
    """What answers shards, such as threads or a cluster."""

    def __call__(
        self,
        files: ModelFiles,
        model: LocalModel,
        options: AnswerOptions,
        plan: ShardPlan,
        left: Sequence[Shard],
    ) -> Iterator[tuple[Shard, Table]]:
        """The shards that are left with their answers, in the order they come."""


def answer_in_threads(threads: int) -> AnswerShards:
    """Shards are answered in this process, so many at once."""

    def answer(
        files: ModelFiles, model: LocalModel, options: AnswerOptions, plan: ShardPlan, left: Sequence[Shard]
    ) -> Iterator[tuple[Shard, Table]]:
        return map_in_threads(
            lambda shard: answer_shard(model, options, plan.sources[shard.source], shard), left, threads
        )

    return answer


def predict_offline(
    request: OfflineRequest, answer_shards: AnswerShards, on_progress: OnProgress
) -> PredictionSummary:
    """The result file holds exactly one answer for every row; raises `ClientError`.

    The answers that came before an error stay in the journal beside it, for the next run.
    """
    _check_names(request)
    with Journal(journal_path(request.target)) as journal:
        files = read_model_files(request.model)
        model = LocalModel(request.model)
        files.require_unchanged()
        options = _choose_options(request, model)
        size = ShardSize.choose(options.batch, model.answer_bytes)
        sources = open_sources(request.source, model.metadata)
        _require_apart(request, sources)
        _require_names(request, model, sources)
        plan = plan_shards(sources, size, options.fixed)
        job = _describe_job(request, files, model, options, plan)
        if request.restart or journal.job is None:
            journal.begin(job)
        else:
            require_same_job(journal, job)
        left = [shard for shard in plan.shards if shard.start not in journal]
        kept = done = plan.rows - sum(shard.rows for shard in left)
        on_progress(done, plan.rows)
        for shard, table in answer_shards(files, model, options, plan, left):
            journal.add(shard.start, table)
            done += shard.rows
            on_progress(done, plan.rows)
        for source in plan.sources:
            require_unchanged(source)
        failed = _write(request.target, journal, plan)
        journal.remove()
    return PredictionSummary(plan.rows, kept, job.version, failed)


def _check_names(request: OfflineRequest) -> None:
    check_written_form(request.target)
    if not os.path.exists(request.source):
        raise InvalidFileError(f"`{request.source}` does not exist")


def _require_apart(request: OfflineRequest, sources: Sequence[Source]) -> None:
    """Raises `InvalidFileError` where the result would be an input, or one of the next run."""
    target = request.target
    if target.exists() and any(source.path.samefile(target) for source in sources):
        raise InvalidFileError(f"`{target}` is the input; name another file for the result")
    has_files = request.source.is_dir() and sources[0].path.is_file()
    if has_files and target.resolve().parent == request.source.resolve():
        raise InvalidFileError(f"`{target}` would lie among the inputs; name a file in another folder")


def _require_names(request: OfflineRequest, model: LocalModel, sources: Sequence[Source]) -> None:
    """Raises `InvalidFileError` for an output whose name the result has for something else."""
    has_images = sources[0].path.is_dir()
    reserved = KEPT if request.keep_going else (FILE,) if has_images else ()
    given = request.outputs or [spec.name for spec in model.metadata.outputs]
    taken = next((name for name in given if name in reserved), None)
    if taken is not None:
        whose = "folders of images" if has_images and taken == FILE else "`--keep-going`"
        raise InvalidFileError(
            f"the model has an output `{taken}`, which results of {whose} have of their own; choose others "
            "with `--only`"
        )


def _choose_options(request: OfflineRequest, model: LocalModel) -> AnswerOptions:
    """Batches of the size that was asked for, or of the only one that the model takes."""
    try:
        model.check_outputs(request.outputs)
    except InvalidInputError as error:
        raise InvalidFileError(str(error)) from error
    fixed = read_fixed_rows(model.metadata)
    return AnswerOptions(fixed or request.batch, request.outputs, fixed, request.keep_going)


def _describe_job(
    request: OfflineRequest, files: ModelFiles, model: LocalModel, options: AnswerOptions, plan: ShardPlan
) -> PredictionJob:
    outputs = (*request.outputs, ERROR) if options.keep_going else request.outputs
    digest = files.digest[:DIGEST_CHARACTERS]
    return PredictionJob(model.metadata.name, digest, plan.fingerprint, options.batch, outputs)


def _write(target: Path, journal: Journal, plan: ShardPlan) -> int:
    """Write the answers of all shards in order; returns how many rows have none."""
    tables = (journal.answers(shard.start) for shard in plan.shards)
    example = next((table for table in tables if has_answer(table)), None)
    if example is None:
        reason = journal.answers(plan.shards[0].start)[ERROR][0]
        raise InvalidFileError(f"no row could be answered; the first: {reason}")
    known: Table = example

    def read_parts() -> Iterator[Table]:
        return (fill_rows(journal.answers(shard.start), known) for shard in plan.shards)

    write_results(target, read_parts)
    if ERROR not in known:
        return 0
    return sum(int((part[ERROR] != "").sum()) for part in read_parts())
