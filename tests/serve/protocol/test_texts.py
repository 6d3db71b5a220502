from typing import Any

import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import MalformedRequestError
from serve.engine.signature import Signature, TensorSpec
from serve.protocol import texts
from serve.protocol.predict import holds_texts


@pytest.mark.parametrize(
    ("instances", "reason"),
    [
        (["a", 7], '`instances[1]` is `7`, expected a text, as the first, or `{"text": '),
        (["a", None], "`instances[1]` is `None`, expected a text"),
        (["a", ["b"]], "`instances[1]` is `['b']`, expected a text"),
        ([{"text": "a"}, {"text": 3}], "expected a text"),
        ([{"text": "a"}, {"text_pair": "a"}], "expected a text"),
        ([{"text": "a", "txt_pair": "b"}], "it has `txt_pair`: did you mean `text_pair`?"),
        ([{"Text": "a"}], "it has `Text`: did you mean `text`?"),
        (["a", {"text": {"text": "a"}}], "expected a text"),
        (["aaaaaaaaa"], "`instances[0]` has `9` characters, at most `8`; send a shorter text"),
        (
            ["aaaaaa", "aaaaaa"],
            "the `2` texts of the request have `12` characters together, at most `10`; send fewer texts",
        ),
        (["a"] * 4, "the request has `4` texts, at most `3`"),
    ],
)
def test_what_is_no_text_or_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch, instances: list[Any], reason: str
) -> None:
    monkeypatch.setattr(texts, "TEXT_CHARACTERS", 8)
    monkeypatch.setattr(texts, "REQUEST_CHARACTERS", 10)
    monkeypatch.setattr(texts, "REQUEST_TEXTS", 3)
    with pytest.raises(MalformedRequestError) as error:
        texts.read_texts(instances, None, Signature((), ()))  # type: ignore[arg-type]  # never reached
    assert reason in str(error.value)


def _signature(name: str, datatype: str) -> Signature:
    return Signature((TensorSpec(name, BY_NAME[datatype], ("N", "L")),), ())


@pytest.mark.parametrize(
    ("first", "name", "datatype", "holds"),
    [
        ("a", "input_ids", "INT64", True),
        ({"text": "a"}, "input_ids", "INT64", True),
        ({"text": "a", "text_pair": "b"}, "input_ids", "INT64", True),
        ({"text": "a", "txt_pair": "b"}, "input_ids", "INT64", True),
        ({"text_pair": "a"}, "input_ids", "INT64", True),
        ({"text": "a", "other": "b"}, "x", "INT64", False),
        ({"input_ids": "a"}, "input_ids", "INT64", False),
        ({"input_ids": [1], "note": "a"}, "input_ids", "INT64", False),
        ({"b64": "a"}, "input_ids", "INT64", False),
        ([1, 2], "input_ids", "INT64", False),
        ("a", "x", "FP32", True),
        ("a", "x", "BYTES", False),
        ({"text": [1]}, "text", "FP32", False),
        ({"text": "a"}, "text", "BYTES", False),
    ],
)
def test_texts_are_told_by_the_first_instance(first: Any, name: str, datatype: str, holds: bool) -> None:
    assert holds_texts([first], _signature(name, datatype)) == holds
