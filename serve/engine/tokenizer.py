"""A model's tokenizer: texts in, the model's inputs out."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from adaptact.installation import install_line
from serve.engine.errors import InvalidInputError, UnsupportedError, quote
from serve.engine.loading import Cancellation
from serve.engine.signature import Array, Signature, TensorSpec
from serve.engine.tokenizer_link import Text, TokenizerLink

log = logging.getLogger("adaptact")

MAX_VALUES = 2**22
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
NOT_INSTALLED = "texts are not read here, since the package `tokenizers` is not installed; send `input_ids`"


def takes_tokens(signature: Signature) -> bool:
    """Whether the inputs are those of a model of texts: `input_ids`, and what goes with it."""
    inputs = {spec.name: spec for spec in signature.inputs}
    return (
        IDS in inputs
        and inputs.keys() <= {IDS, MASK, TYPES}
        and all(len(spec.shape) == 2 and spec.datatype.name in ("INT32", "INT64") for spec in inputs.values())
    )


@dataclass(frozen=True, slots=True)
class TextPadding:
    """How rows of tokens are brought to one length."""

    token: int
    type: int = 0
    side: Literal["right", "left"] = "right"
    length: int = 0
    """At least so many tokens."""
    multiple: int = 1

    def fit(self, longest: int) -> int:
        """The length of rows of which the longest has so many tokens."""
        return -(-max(longest, self.length) // self.multiple) * self.multiple


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """A model's inputs, a row for each text, and the places of the texts that were cut."""

    inputs: dict[str, Array]
    truncated: tuple[int, ...] = ()


class TextTokenizer:
    """A `tokenizer.json`: how texts become tokens, and tokens rows of one length."""

    def __init__(self, name: str, path: Path, limit: int | None, cancellation: Cancellation) -> None:
        """Read the file; raises `ModelRefusedError` if that cannot be. `limit` is the most tokens of a text.

        Without the library there is nothing to read the file with: then texts are refused.
        """
        self.name = name
        self.limit = limit
        # One at a time, and off the event loop: the process answers one request after the other.
        self.thread = ThreadPoolExecutor(1, "adaptact-texts")
        self._link = TokenizerLink(path, cancellation) if find_spec("tokenizers") else None
        if self._link is None:
            log.warning("%s is not read without the package `tokenizers`: %s", name, install_line("text"))
        settings = self._link.settings if self._link else {}
        self.padding = _read_padding(settings.get("padding"))
        truncation = settings.get("truncation")
        self.max_length: int | None = truncation["max_length"] if truncation else None
        """Longer texts are cut to so many tokens; None for never."""
        self.tokens: int = settings.get("tokens", 0)
        """One more than the largest number of a token; 0 if that is not known."""

    def show(self) -> dict[str, Any]:
        """What a client is told of it."""
        return {
            "file": self.name,
            "max_length": self.max_length or self.limit,
            "truncates": bool(self.max_length),
        }

    def prepare(self, texts: Sequence[Text], signature: Signature) -> TokenizedTexts:
        """The model's inputs for the texts, at least one; it blocks, for long where they are long.

        Raises `InvalidInputError` for texts that the model does not take, `UnsupportedError` without the
        library, and `RunFailedError` or `ModelUnavailableError` where its process ended.
        """
        if self._link is None:
            raise UnsupportedError(NOT_INSTALLED)
        encoded = self._link.encode(texts)
        lengths = encoded.lengths
        self._check_lengths(lengths)
        length = self._choose_length(lengths, next(spec for spec in signature.inputs if spec.name == IDS))
        if len(lengths) * length > MAX_VALUES:
            raise InvalidInputError(
                f"the texts make `{len(lengths)}` rows of `{length}` tokens, at most `{MAX_VALUES}` values "
                "in a request; send fewer texts"
            )
        padding = self.padding or TextPadding(0)
        kept = _place_tokens(lengths, length, padding.side)
        rows = {IDS: np.full(kept.shape, padding.token), TYPES: np.full(kept.shape, padding.type), MASK: kept}
        rows[IDS][kept], rows[TYPES][kept] = encoded.tokens, encoded.types
        inputs = {spec.name: rows[spec.name].astype(spec.datatype.dtype) for spec in signature.inputs}
        return TokenizedTexts(inputs, encoded.truncated)

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        longest = max(lengths)
        if not longest:
            raise InvalidInputError("the request's texts have no token")
        if self.limit is not None and longest > self.limit:
            raise _refuse_length(lengths, self.limit)

    def _choose_length(self, lengths: Sequence[int], spec: TensorSpec) -> int:
        """The length of every row, one that the model takes."""
        longest = max(lengths)
        size, bounds = spec.shape[1], spec.bounds.get(1)
        most = size if isinstance(size, int) else bounds.high if bounds else None
        if most is not None and longest > most:
            raise _refuse_length(lengths, most)
        length = self.padding.fit(longest) if self.padding else longest
        if isinstance(size, int):
            length = size
        elif bounds is not None:
            length = bounds.fit(length)
        if self.padding is None and min(lengths) < length:
            raise InvalidInputError(
                f"the rows have `{length}` tokens and the shortest text `{min(lengths)}`, and "
                f"{quote(self.name)} names no token to fill it up with; send texts one by one, or add "
                "`padding` there"
            )
        return length


def _read_padding(said: dict[str, Any] | None) -> TextPadding | None:
    if said is None:
        return None
    return TextPadding(
        said["pad_id"],
        said.get("pad_type_id", 0),
        said.get("direction", "right"),
        said.get("length") or 0,
        said.get("pad_to_multiple_of") or 1,
    )


def _place_tokens(lengths: Sequence[int], length: int, side: Literal["right", "left"]) -> NDArray[np.bool_]:
    """Where the tokens are in rows of this length; `side` is that of what fills them up."""
    counts = np.array(lengths)[:, np.newaxis]
    places = np.arange(length)
    return places < counts if side == "right" else places >= length - counts


def _refuse_length(lengths: Sequence[int], most: int) -> InvalidInputError:
    place = next(place for place, length in enumerate(lengths) if length > most)
    return InvalidInputError(
        f"`instances[{place}]` has `{lengths[place]}` tokens, and the model takes at most `{most}`; send a "
        "shorter text, or let `truncation` in its tokenizer.json cut it"
    )
