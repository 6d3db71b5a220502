import json
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from adaptact.installation import install_line
from convert.manifest.size_bounds import SizeBounds
from serve.engine import tokenizer, tokenizer_link
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import (
    InvalidInputError,
    ModelRefusedError,
    ModelUnavailableError,
    RunFailedError,
    UnsupportedError,
)
from serve.engine.loading import Cancellation
from serve.engine.signature import Signature, TensorSpec
from serve.engine.tokenizer import TextTokenizer, takes_tokens
from tests.serve.tokenizers import make_tokenizer, pad, put_tokenizer, truncate

pytest.importorskip("tokenizers")
NAMES = ("input_ids", "attention_mask", "token_type_ids")


def _signature(*names: str, length: int | str = "L", datatype: str = "INT64") -> Signature:
    chosen = names or NAMES
    return Signature(tuple(TensorSpec(name, BY_NAME[datatype], ("N", length)) for name in chosen), ())


def _read(folder: Path, content: object | None = None, limit: int | None = None) -> TextTokenizer:
    return TextTokenizer(
        "tokenizer.json", put_tokenizer(folder / "tokenizer.json", content), limit, Cancellation()
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return _read(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def cutting(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    """A tokenizer that cuts texts at five tokens, and fills rows up at the left, to multiples of four."""
    padding = pad(direction="Left", pad_to_multiple_of=4, pad_id=1, pad_type_id=1)
    return _read(
        tmp_path_factory.mktemp("cutting"), make_tokenizer(truncation=truncate(5, 2), padding=padding)
    )


def _rows(made: tokenizer.TokenizedTexts) -> dict[str, list[list[int]]]:
    return {name: array.tolist() for name, array in made.inputs.items()}


def test_texts_become_rows_of_one_length(plain: TextTokenizer) -> None:
    made = plain.prepare(["good film", "bad", ""], _signature())
    assert _rows(made) == {
        "input_ids": [[2, 6, 8, 3], [2, 7, 3, 0], [2, 3, 0, 0]],
        "attention_mask": [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]],
        "token_type_ids": [[0] * 4] * 3,
    }
    assert not made.truncated


def test_a_pair_of_texts_has_two_types(plain: TextTokenizer) -> None:
    made = plain.prepare([["a", "b"], "a"], _signature())
    assert _rows(made)["input_ids"] == [[2, 4, 3, 5, 3], [2, 4, 3, 0, 0]]
    assert _rows(made)["token_type_ids"] == [[0, 0, 0, 1, 1], [0] * 5]


def test_the_model_gets_the_inputs_it_has(plain: TextTokenizer) -> None:
    made = plain.prepare(["a"], _signature("input_ids", datatype="INT32"))
    assert list(made.inputs) == ["input_ids"]
    assert made.inputs["input_ids"].dtype == np.int32


def test_the_file_says_how_texts_are_cut_and_filled_up(cutting: TextTokenizer) -> None:
    made = cutting.prepare(["a", "a b a b a b a b"], _signature())
    assert made.truncated == (1,)
    assert _rows(made)["input_ids"] == [[1] * 5 + [2, 4, 3], [1, 1, 1, 2, 4, 5, 4, 3]]
    assert _rows(made)["attention_mask"] == [[0] * 5 + [1] * 3, [0] * 3 + [1] * 5]
    assert _rows(made)["token_type_ids"] == [[1] * 5 + [0] * 3, [1] * 3 + [0] * 5]
    assert cutting.show() == {"file": "tokenizer.json", "max_length": 5, "truncates": True}


def test_rows_have_the_length_that_the_model_takes(plain: TextTokenizer) -> None:
    assert plain.prepare(["a"], _signature(length=6)).inputs["input_ids"].shape == (1, 6)
    bound = _signature().bound({"L": SizeBounds("L", 0, 12, 4)})
    assert plain.prepare(["a"], bound).inputs["input_ids"].shape == (1, 4)


def test_a_text_over_the_models_length_is_named(plain: TextTokenizer) -> None:
    bound = _signature().bound({"L": SizeBounds("L", 0, 4)})
    for signature in (_signature(length=4), bound):
        with pytest.raises(InvalidInputError, match=r"`instances\[1\]` has `5` tokens, and the model takes"):
            plain.prepare(["a", "a b a"], signature)


def test_the_librarys_limit_holds_too(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has `5` tokens, and the model takes at most `4`"):
        _read(tmp_path, limit=4).prepare(["a b a"], _signature())


def test_without_padding_all_texts_have_one_length(tmp_path: Path) -> None:
    vocabulary = {"a": 0, "b": 1}
    bare = _read(
        tmp_path,
        make_tokenizer(
            post_processor=None, model={"type": "WordLevel", "vocab": vocabulary, "unk_token": "a"}
        ),
    )
    assert _rows(bare.prepare(["a b", "b a"], _signature("input_ids"))) == {"input_ids": [[0, 1], [1, 0]]}
    with pytest.raises(InvalidInputError, match="names no token to fill it up with"):
        bare.prepare(["a b", "b"], _signature("input_ids"))
    with pytest.raises(InvalidInputError, match="have no token"):
        bare.prepare(["", " "], _signature("input_ids"))


def test_too_many_values_are_refused(plain: TextTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MAX_VALUES", 7)
    with pytest.raises(InvalidInputError, match="make `2` rows of `4` tokens, at most `7` values"):
        plain.prepare(["a b", ""], _signature())


def test_padding_without_bounds_is_refused(tmp_path: Path) -> None:
    endless = _read(tmp_path, make_tokenizer(padding=pad(strategy={"Fixed": 10**12})))
    with pytest.raises(InvalidInputError, match="make `1` rows of `1000000000000` tokens"):
        endless.prepare(["a"], _signature())


@pytest.mark.parametrize("text", ["\0", "a\0b", "\U0010ffff", "\u202ea", "a\n" * 1000, "a" * 100_000])
def test_any_text_is_taken(plain: TextTokenizer, text: str) -> None:
    assert plain.prepare([text], _signature()).inputs["input_ids"].shape[1] >= 3


def test_what_is_no_text_is_refused(plain: TextTokenizer) -> None:
    with pytest.raises(InvalidInputError, match="a text holds half of a surrogate pair"):
        plain.prepare(["\ud800"], _signature())
    assert _rows(plain.prepare(["a"], _signature()))["input_ids"] == [[2, 4, 3]]


@pytest.mark.parametrize(
    ("inputs", "takes"),
    [
        (("input_ids",), True),
        (NAMES, True),
        (("attention_mask",), False),
        (("input_ids", "pixel_values"), False),
        ((), False),
    ],
)
def test_a_model_of_tokens_is_told_by_its_inputs(inputs: tuple[str, ...], takes: bool) -> None:
    specs = tuple(TensorSpec(name, BY_NAME["INT64"], ("N", "L")) for name in inputs)
    assert takes_tokens(Signature(specs, ())) == takes
    assert not takes_tokens(Signature((TensorSpec("input_ids", BY_NAME["FP32"], ("N", "L")),), ()))


HOSTILE: dict[str, object] = {
    "nothing": "",
    "a list": [],
    "no model": {"version": "1.0"},
    "another version": make_tokenizer(version="9.0"),
    "deep": json.loads("[" * 500 + "]" * 500),
    "an unknown model": make_tokenizer(model={"type": "Mystery"}),
    "a missing token": make_tokenizer(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}),
    "a truncation to nothing": make_tokenizer(truncation=truncate(2)),
    "special tokens without end": make_tokenizer(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"x": {"id": "x", "ids": [0] * 5000, "tokens": ["x"] * 5000}},
        }
    ),
    "a text that grows without end": make_tokenizer(
        normalizer={
            "type": "Sequence",
            "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 64}] * 8,
        }
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_cannot_be_read_refuses_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.setattr(tokenizer_link, "MEMORY_BYTES", 2**29)
    with pytest.raises(ModelRefusedError, match=r"`tokenizer.json` cannot be read: "):
        _read(tmp_path, content)


def test_without_the_library_texts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tokenizer, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="the package `tokenizers` is not installed"):
        _read(tmp_path).prepare(["a"], _signature())
    assert install_line("text") in caplog.text


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_link, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelRefusedError, match="is larger than 100 bytes"):
        _read(tmp_path)


def _signal(read: TextTokenizer, number: int) -> None:
    assert read._link is not None
    read._link.process.send_signal(number)


def test_its_process_ends_with_it(tmp_path: Path) -> None:
    read = _read(tmp_path)
    assert read._link is not None
    process = read._link.process
    del read
    assert process.wait(60) is not None


@pytest.mark.slow
def test_a_process_that_ends_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = _read(tmp_path)
    _signal(read, signal.SIGKILL)
    assert read._link is not None
    read._link.process.wait(60)
    assert read.prepare(["a"], _signature()).inputs["input_ids"].shape == (1, 3)
    monkeypatch.setattr(tokenizer_link, "ENCODE_SECONDS", 0.05)
    _signal(read, signal.SIGSTOP)
    with pytest.raises(RunFailedError, match=r"took more than 0.05 s over these texts"):
        read.prepare(["a"], _signature())
    assert read.prepare(["a"], _signature()).inputs["input_ids"].shape == (1, 3)
    assert read._link._link is not None
    monkeypatch.setattr(read._link.process, "poll", lambda: None)  # it ends in the midst of a request
    read._link._link.shutdown(socket.SHUT_RDWR)
    with pytest.raises(RunFailedError, match="ended over these texts"):
        read.prepare(["a"], _signature())
    put_tokenizer(tmp_path / "tokenizer.json", make_tokenizer(padding=pad()))
    with pytest.raises(ModelUnavailableError, match="has changed since the model was loaded"):
        read.prepare(["a"], _signature())
