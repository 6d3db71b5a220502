"""A tokenizer.json, completed by what transformers writes beside it; without torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptive_act.errors import LibraryError

LARGEST_JSON = 16 * 2**20  # bytes; a config names its classes, up to some ten thousand
LARGEST_TOKENIZER = 64 * 2**20
DEEPEST = 32  # a configuration holds those of its parts


def read_json(path: Path) -> dict[str, Any]:
    """The file's JSON object, empty where there is no file. Raises LibraryError for other content."""
    if not path.is_file():
        return {}
    with path.open("rb") as stream:
        text = stream.read(LARGEST_JSON + 1)
    if len(text) > LARGEST_JSON:
        raise LibraryError(f"`{path}` is larger than {LARGEST_JSON} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"`{path}` is not JSON: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise LibraryError(f"`{path}` is a `{type(content).__name__}`, expected a JSON object")
    if _is_too_deep(content):
        raise LibraryError(f"`{path}` holds more than {DEEPEST} values within each other")
    return content


def _is_too_deep(content: object) -> bool:
    level = [content]
    for _ in range(DEEPEST + 1):
        level = [
            member
            for value in level
            if isinstance(value, dict | list)
            for member in (value.values() if isinstance(value, dict) else value)
        ]
    return bool(level)


def complete_tokenizer(
    path: Path,
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    longest: int | None,
    length: int | None,
) -> str:
    """The tokenizer's JSON with truncation and padding, as the settings and the model's config have them.

    Raises LibraryError where it is no tokenizer.
    """
    if path.stat().st_size > LARGEST_TOKENIZER:
        raise LibraryError(f"`{path}` is larger than {LARGEST_TOKENIZER} bytes")
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415

        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except ModuleNotFoundError as error:
        raise LibraryError(f"reading `{path}` needs `tokenizers`", hint="pip install tokenizers") from error
    except Exception as error:  # tokenizers raises nothing more specific
        raise LibraryError(f"`{path}` is no tokenizer: {str(error)[:200]}") from error
    try:
        _set_lengths(tokenizer, settings, config, (longest, length))
    except (TypeError, ValueError, OverflowError) as error:
        raise LibraryError(
            f"the padding or truncation that stands beside `{path}` cannot be set: {str(error)[:200]}"
        ) from error
    return str(tokenizer.to_str())


def _set_lengths(
    tokenizer: Any,
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    lengths: tuple[int | None, int | None],
) -> None:
    """Sets truncation to the least of all limits, and padding, where a token for it is known."""
    token = settings.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    number = tokenizer.token_to_id(token) if isinstance(token, str) else config.get("pad_token_id")
    most = (settings.get("model_max_length"), *lengths)
    limits = [limit for limit in most if isinstance(limit, int) and 0 < limit < 10**6]
    if limits:
        tokenizer.enable_truncation(min(limits), direction=settings.get("truncation_side") or "right")
    if isinstance(number, int) and number >= 0:  # configurations write -1 for none
        tokenizer.enable_padding(
            direction=settings.get("padding_side") or "right",
            pad_id=number,
            pad_token=token if isinstance(token, str) else tokenizer.id_to_token(number) or "",
            length=lengths[1],
        )
