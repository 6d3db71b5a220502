"""The answers to the rows of a shard, and to each row of a batch that cannot be answered as a whole."""

from dataclasses import dataclass

import numpy as np

from serve.client.batch.offline.batches import Batch, name_row
from serve.client.batch.offline.model import FILE, LocalModel
from serve.client.batch.offline.shards import Shard, Source, require_unchanged
from serve.client.batch.results import ERROR, KEPT, Table
from serve.client.errors import ChangedFileError, ClientError, InvalidFileError, InvalidReplyError
from serve.engine.errors import (
    EngineError,
    InvalidInputError,
    MalformedRequestError,
    RunFailedError,
    UnsupportedError,
)
from serve.engine.signature import Array

ROW_ERRORS = (InvalidInputError, MalformedRequestError, UnsupportedError, RunFailedError, InvalidFileError)
"""What is wrong with rows, not with the model."""


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How rows are answered."""

    batch: int
    only: tuple[str, ...] = ()
    fixed: int | None = None
    """The only number of rows that the model takes."""
    keep_going: bool = False
    """Whether a row without an answer has its reason in the output `error`, instead of ending the run."""


def answer_shard(model: LocalModel, options: AnswerOptions, source: Source, shard: Shard) -> Table:
    """The answers to all rows of the shard; raises `ClientError`.

    Outputs have a row for each row that was answered, and `error` and `file` one for each of all.
    """
    require_unchanged(source)
    try:
        parts = [_answer_batch(model, options, batch, source) for batch in source.read(shard, options.batch)]
    except EngineError as error:
        raise ClientError(f"the model can answer no more: {error}") from error
    names = dict.fromkeys(name for part in parts for name in part)
    try:
        table = {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}
    except ValueError as error:
        raise InvalidReplyError(
            f"the batches' answers cannot be one table, since their shapes differ: {error}"
        ) from error
    if options.keep_going:
        table[ERROR] = table.pop(ERROR)  # last
    if len(table[ERROR] if options.keep_going else next(iter(table.values()))) != shard.rows:
        raise ChangedFileError(f"`{source.path}` has not the rows that it had when the run began")
    return table


def fill_rows(table: Table, example: Table) -> Table:
    """The shard's answers with a row for each of its rows: NaN, 0 or nothing where there is no answer.

    `example` is a table with an answer.
    """
    if ERROR not in table:
        return table
    is_answered = table[ERROR] == ""
    filled: dict[str, Array] = {}
    for name in example:
        if name in KEPT:
            filled[name] = table[name]
            continue
        like = table.get(name, example[name])
        filled[name] = np.zeros((len(is_answered), *like.shape[1:]), like.dtype)
        if like.dtype.kind in "fO":
            filled[name][...] = np.nan if like.dtype.kind == "f" else ""
        if name in table:
            filled[name][is_answered] = table[name]
    return filled


def has_answer(table: Table) -> bool:
    """Whether a row of the shard has an answer."""
    return ERROR not in table or bool((table[ERROR] == "").any())


def _answer_batch(model: LocalModel, options: AnswerOptions, batch: Batch, source: Source) -> Table:
    """The answers to the rows, which the model is asked for one by one where it has none to all at once."""
    try:
        answers = model.answer(batch, options.only)
    except ROW_ERRORS as error:
        return _answer_rows(model, options, batch, source, error)
    if options.keep_going:
        answers[ERROR] = np.full(len(batch), "", np.object_)
    return answers


def _answer_rows(
    model: LocalModel, options: AnswerOptions, batch: Batch, source: Source, whole: Exception
) -> Table:
    """The answers to the rows that have one alone, and the reasons of the others."""
    answered: list[dict[str, Array]] = []
    reasons = [""] * len(batch)
    for place in range(len(batch)):
        row = batch.part(place, place + 1)
        try:
            answered.append(model.answer_one(row, options.only, options.fixed))
        except ROW_ERRORS as error:
            reasons[place] = name_row(str(error), row)
            if not options.keep_going:
                raise InvalidFileError(f"`{source.path}`: {reasons[place]}") from error
    try:  # images that are too many pixels at once are not too many one by one; of different sizes they stay
        table = {name: np.concatenate([row[name] for row in answered]) for name in (answered or [{}])[0]}
    except ValueError:
        raise InvalidFileError(f"`{source.path}`, rows {batch.first} and on: {whole}") from whole
    if batch.files:
        table = {FILE: np.array(batch.files, np.object_)} | {k: v for k, v in table.items() if k != FILE}
    return table | ({ERROR: np.array(reasons, np.object_)} if options.keep_going else {})
