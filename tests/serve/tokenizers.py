"""Small tokenizers, as the library's JSON, and a model of texts."""

import json
from pathlib import Path
from typing import Any

import onnx

from tests.serve import models

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "good", "bad", "film"]
LENGTHS = """lengths (int64[N, L] input_ids, int64[N, L] attention_mask, int64[N, L] token_type_ids)
    => (int64[N, L, 3] y) {
    axis = Constant<value = int64[1] {2}>()
    ids = Unsqueeze(input_ids, axis)
    mask = Unsqueeze(attention_mask, axis)
    types = Unsqueeze(token_type_ids, axis)
    y = Concat<axis = 2>(ids, mask, types)
}"""


def texts_model() -> onnx.ModelProto:
    """A model of texts that answers each token with its number, its mask and its type."""
    return models.model(LENGTHS)


def make_tokenizer(**changes: Any) -> dict[str, Any]:
    """A tokenizer of whole words, one token each, between [CLS] and [SEP]."""

    def special(name: str, kind: int = 0) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def sequence(name: str, kind: int = 0) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    template = {
        "type": "TemplateProcessing",
        "single": [special("[CLS]"), sequence("A"), special("[SEP]")],
        "pair": [
            *(special("[CLS]"), sequence("A"), special("[SEP]")),
            *(sequence("B", 1), special("[SEP]", 1)),
        ],
        "special_tokens": {
            name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")
        },
    }
    made: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": template,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }
    return {**made, **changes}


def truncate(length: int, stride: int = 0) -> dict[str, Any]:
    """What a file says to cut texts to so many tokens."""
    return {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": stride}


def pad(**changes: Any) -> dict[str, Any]:
    """What a file says to fill rows up with."""
    said = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    return {**said, **changes}


def put_tokenizer(path: Path, content: object | None = None) -> Path:
    """Write it, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_tokenizer() if content is None else content))
    return path
