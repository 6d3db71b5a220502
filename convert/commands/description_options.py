"""The options by which a user describes a model: classes, preprocessing, outputs, a tokenizer."""

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptact.suggestions import suggest_file
from adaptive_act.errors import LibraryError
from adaptive_act.libraries.tokenizer_json import complete_tokenizer, read_json
from convert.errors import UsageError
from convert.manifest.decode import ManifestError
from convert.manifest.description import check_columns, parse_names
from convert.manifest.preprocessing import IMAGENET, Preprocessing, decode_preprocessing

if TYPE_CHECKING:
    from convert.sources.described import GivenDescription

LARGEST_FILE = 32 * 2**20  # bytes
LARGEST_TOKENIZER = 64 * 2**20
NONE = "none"
"""In place of a file: leave out what the model's own source says."""

Classes = Annotated[
    str | None,
    typer.Option(help="File of the classes' names: one a line, a JSON list, or id2label; `none` for none."),
]
PreprocessingOption = Annotated[
    str | None,
    typer.Option(
        "--preprocessing", help="How images are prepared: `imagenet`, a TOML or JSON file, or `none`."
    ),
]
OutputNames = Annotated[str | None, typer.Option(help="Names of the outputs, as scores,boxes.")]
TokenizerOption = Annotated[
    str | None,
    typer.Option("--tokenizer", help="A tokenizer.json, which is put beside the file; `none` for none."),
]


def parse_given(
    classes: str | None, preprocessing: str | None, output_names: str | None, tokenizer: str | None
) -> "GivenDescription":
    """What the options say. Raises UsageError where one of their files cannot be read, or is no such file."""
    from convert.sources.described import GivenDescription  # noqa: PLC0415  # it loads torch

    given = {"classes": classes, "preprocessing": preprocessing, "tokenizer": tokenizer}
    return GivenDescription(
        classes=read_classes(classes),
        preprocessing=read_preprocessing(preprocessing),
        outputs=parse_output_names(output_names),
        tokenizer=read_tokenizer(tokenizer),
        without=frozenset(name for name, value in given.items() if value == NONE),
    )


def read_classes(source: str | None) -> tuple[str, ...] | None:
    """The names in the file; None where none is named."""
    if source in (None, NONE):
        return None
    try:
        return parse_names(_read_text(str(source), "--classes", LARGEST_FILE), str(source))
    except ManifestError as error:
        raise UsageError(f"`--classes`: {error}") from error


def read_columns(source: str | None) -> tuple[str, ...] | None:
    """The names in the file; None where none is named."""
    if source in (None, NONE):
        return None
    try:
        return check_columns(parse_names(_read_text(str(source), "--columns", LARGEST_FILE), str(source)))
    except ManifestError as error:
        raise UsageError(f"`--columns`: {error}") from error


def read_preprocessing(source: str | None) -> Preprocessing | None:
    """What `imagenet` or the file says; None where nothing is named."""
    if source in (None, NONE):
        return None
    if source == "imagenet":
        return IMAGENET
    text = _read_text(str(source), "--preprocessing", LARGEST_FILE, ("imagenet", NONE))
    is_json = text.lstrip().startswith("{")
    try:
        content = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        raise UsageError(f"`--preprocessing`: `{source}` is not {kind}: {error}") from error
    try:
        return decode_preprocessing(content.get("preprocessing", content), str(source))
    except ManifestError as error:
        raise UsageError(f"`--preprocessing`: {error}") from error


def parse_output_names(text: str | None) -> tuple[str, ...] | None:
    """The names between the commas."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise UsageError(f"`--output-names` is `{text[:100]}`, expected distinct names, as scores,boxes")
    return names


def read_tokenizer(source: str | None) -> str | None:
    """The content of the file, which is a tokenizer where the library that knows them is installed."""
    if source in (None, NONE):
        return None
    text = _read_text(str(source), "--tokenizer", LARGEST_TOKENIZER)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`--tokenizer`: `{source}` is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UsageError(
            f"`--tokenizer`: `{source}` is no tokenizer.json of the library `tokenizers`",
            hint="AutoTokenizer.from_pretrained(...).save_pretrained(folder) writes one",
        )
    return _complete(Path(str(source)), text)


def _complete(path: Path, text: str) -> str:
    """The tokenizer with the padding and the longest length that `tokenizer_config.json` beside it has."""
    if not path.with_name("tokenizer_config.json").is_file():
        return text
    try:
        settings, config = (
            read_json(path.with_name(name)) for name in ("tokenizer_config.json", "config.json")
        )
        return complete_tokenizer(path, settings, config, None, None)
    except LibraryError as error:
        raise UsageError(f"`--tokenizer`: {error}", hint=error.hint) from error


def _read_text(source: str, option: str, most: int, words: tuple[str, ...] = (NONE,)) -> str:
    path = Path(source)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"`{option}`: `{source}` is no file")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        if len(content) > most:
            raise UsageError(f"`{option}`: `{source}` is larger than {most} bytes")
        return content.decode("utf-8-sig")  # as Excel and Notepad write it
    except FileNotFoundError as error:
        expected = " or ".join(f"`{word}`" for word in words)
        raise UsageError(
            f"`{option}`: there is no file `{source}`, expected one, or {expected}", hint=suggest_file(path)
        ) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise UsageError(f"`{option}`: `{source}` cannot be read: {reason}") from error
