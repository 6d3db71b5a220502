"""Texts in requests, within bounds, to a model's inputs."""

from collections.abc import Set
from typing import TYPE_CHECKING

from adaptact.languages.catalogue import mark
from adaptact.suggestions import suggest
from serve.engine.errors import MalformedRequestError, quote
from serve.engine.signature import Signature
from serve.protocol.images import is_image
from serve.protocol.json_text import Value
from serve.protocol.long_values import LongList

if TYPE_CHECKING:
    from serve.engine.tokenizer import TextTokenizer, TokenizedTexts

TEXT, PAIR = "text", "text_pair"
REQUEST_TEXTS = 4096
TEXT_CHARACTERS = 2**17
REQUEST_CHARACTERS = 2**20
NO_TOKENIZER = mark(
    "`instances[0]` is a text, and the model takes none: one with no inputs but `input_ids`, "
    "`attention_mask` and `token_type_ids` does, once its `tokenizer.json` lies beside it; send the inputs. "
    "An image is "
    '`{"b64": "..."}`'
)


def is_text(value: object) -> bool:
    """Whether the instance is a text: a string, or an object with `text`, and `text_pair` for two."""
    return isinstance(value, str) or (
        isinstance(value, dict) and TEXT in value and value.keys() <= {TEXT, PAIR}
    )


def resembles_text(value: object, inputs: Set[str]) -> bool:
    """Whether the instance was meant as a text, its key mistyped: an object that holds one, and no input."""
    return (
        isinstance(value, dict)
        and not is_image(value)
        and value.keys().isdisjoint(inputs)
        and any(isinstance(part, str) for part in value.values())
    )


def read_texts(
    instances: "list[Value] | LongList", tokenizer: "TextTokenizer", signature: Signature
) -> "TokenizedTexts":
    """The model's inputs, a row for each text; blocks while the tokenizer works.

    Raises `MalformedRequestError` for what is no text or too long, and what the tokenizer raises.
    """
    if len(instances) > REQUEST_TEXTS:
        raise MalformedRequestError(f"the request has `{len(instances)}` texts, at most `{REQUEST_TEXTS}`")
    texts: list[str | list[str]] = []
    total = 0
    for position, instance in enumerate(instances):
        parts = _read_parts(position, instance)
        size = sum(map(len, parts))
        total += size
        if size > TEXT_CHARACTERS:
            raise MalformedRequestError(
                f"`instances[{position}]` has `{size}` characters, at most `{TEXT_CHARACTERS}`; send a "
                "shorter text"
            )
        texts.append(parts if len(parts) > 1 else parts[0])
    if total > REQUEST_CHARACTERS:
        raise MalformedRequestError(
            f"the `{len(texts)}` texts of the request have `{total}` characters together, at most "
            f"`{REQUEST_CHARACTERS}`; send fewer texts in a request"
        )
    return tokenizer.prepare(texts, signature)


def _read_parts(position: int, instance: object) -> list[str]:
    """The text, or the two texts."""
    if isinstance(instance, str):
        return [instance]
    parts = [instance[key] for key in (TEXT, PAIR) if key in instance] if isinstance(instance, dict) else []
    texts = [part for part in parts if isinstance(part, str)]
    if not is_text(instance) or len(texts) != len(parts):
        expected = f'expected a text, as the first, or `{{"{TEXT}": "...", "{PAIR}": "..."}}` for two'
        raise MalformedRequestError(
            f"`instances[{position}]` is {quote(instance)}, {expected}{_hint_at_key(instance)}"
        )
    return texts


def _hint_at_key(instance: object) -> str:
    """What a mistyped key of the object was meant to be."""
    unknown = (
        next((key for key in instance if key not in (TEXT, PAIR)), None)
        if isinstance(instance, dict)
        else None
    )
    question = None if unknown is None else suggest(str(unknown), (TEXT, PAIR))
    return "" if question is None else f"; it has {quote(unknown)}: {question}"
