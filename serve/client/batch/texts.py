"""The texts of a .csv file, for a model with a tokenizer on the server."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from serve.client.batch.columns import list_names
from serve.client.batch.rows import INSTANCE, read_answers, read_table
from serve.client.calls import Instance
from serve.client.errors import ClientError, InvalidFileError, InvalidInputError
from serve.client.synchronous import Client
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata

TEXT, PAIR = "text", "text_pair"
MISSPELT_SIMILARITY = 0.85  # `txt_pair` and `textpair` have it, `text_id` has not


@dataclass(frozen=True, slots=True)
class TextRows:
    """Texts, or pairs of texts, in the order of the file."""

    model: ModelMetadata
    texts: Sequence[Instance]
    outputs: Sequence[str]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.texts)

    def ask(self, client: Client, version: str | None, start: int, stop: int) -> dict[str, Array]:
        """The chosen outputs, or all, after `label` where the model names its classes.

        `truncated` says of each text whether it was cut, where the tokenizer cuts texts.
        """
        try:
            reply = client.predict(self.model.name, self.texts[start:stop], version)
        except InvalidInputError as error:
            raise _name_rows(error, start) from None
        answers = read_answers(self.model, reply)
        if self.outputs:
            answers = {name: answers[name] for name in ("label", *self.outputs) if name in answers}
        if cuts_texts(self.model):
            answers["truncated"] = np.isin(np.arange(stop - start), reply.truncated)
        return answers


def takes_texts(model: ModelMetadata) -> bool:
    """Whether the server makes tokens of texts for the model."""
    return bool(_read_tokenizer(model))


def cuts_texts(model: ModelMetadata) -> bool:
    """Whether the model's tokenizer cuts long texts."""
    return bool(_read_tokenizer(model).get("truncates"))


def names_inputs(path: Path, model: ModelMetadata) -> bool:
    """Whether the file has the model's inputs, not texts; raises `InvalidFileError`."""
    return name_inputs(read_table(path)[0], model)


def name_inputs(header: Sequence[str], model: ModelMetadata) -> bool:
    """Whether one of the columns is named for an input."""
    return any(column.partition("[")[0] == spec.name for column in header for spec in model.inputs)


def read_text_rows(path: Path, model: ModelMetadata, outputs: Sequence[str]) -> TextRows:
    """The texts in the column `text`, or in the only one, and pairs with those in `text_pair`.

    Raises `InvalidFileError`.
    """
    known = [spec.name for spec in model.outputs]
    unknown = next((name for name in outputs if name not in known), None)
    if unknown is not None:
        raise InvalidFileError(f"model `{model.name}` has no output `{unknown}`; its outputs: `{known}`")
    header, rows = read_table(path)
    place, pair = find_texts(path, header, model.name)
    texts: list[Instance] = [
        row[place] if pair is None else {TEXT: row[place], PAIR: row[pair]} for row in rows
    ]
    with path.open("rb") as stream:
        return TextRows(model, texts, outputs, hashlib.file_digest(stream, "sha256").hexdigest())


def find_texts(path: Path, header: Sequence[str], model: str) -> tuple[int, int | None]:
    """The places of the texts' column, and of that of their pairs; raises `InvalidFileError`."""
    place = 0 if len(header) == 1 else _find(header, TEXT)
    if place is None:
        raise InvalidFileError(
            f"`{path}` has no column `{TEXT}`, which model `{model}` takes, but {list_names(header)}"
        )
    pair = _find(header, PAIR)
    _refuse_misspelt(path, header if pair is None else ())
    return place, pair


def _find(header: Sequence[str], name: str) -> int | None:
    """The place of the column; raises `InvalidFileError` if there are several."""
    places = [place for place, column in enumerate(header) if column.strip().lower() == name]
    if len(places) > 1:
        raise InvalidFileError(f"the column `{name}` is there {len(places)} times")
    return places[0] if places else None


def _refuse_misspelt(path: Path, header: Sequence[str]) -> None:
    """Raises `InvalidFileError` for a column that seems to be meant as that of the pairs' second texts."""
    for column in header:
        if get_close_matches(column.strip().lower(), [PAIR], 1, MISSPELT_SIMILARITY):
            raise InvalidFileError(
                f"`{path}` has the column `{column[:100]}`, which would be left out; did you mean `{PAIR}`? "
                "If not, name it otherwise"
            )


def _read_tokenizer(model: ModelMetadata) -> dict[str, object]:
    part = (model.description or {}).get("tokenizer")
    return part.value if part is not None and isinstance(part.value, dict) else {}


def _name_rows(error: InvalidInputError, start: int) -> ClientError:
    """The server's words with the file's rows in place of `instances[0]` and the like."""

    def name_row(match: re.Match[str]) -> str:
        return f"row {start + int(match[1]) + 1}"

    text, count = INSTANCE.subn(name_row, str(error))
    return InvalidFileError(text, error.status) if count else error
