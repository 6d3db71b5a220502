"""What stands beside a tokenizer may be anything."""

import json
from pathlib import Path
from typing import Any

import pytest

from adaptive_act.errors import LibraryError
from adaptive_act.libraries.tokenizer_json import DEEPEST, complete_tokenizer, read_json

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    words = tokenizers.models.WordLevel({"[PAD]": 0, "good": 1}, unk_token="[PAD]")
    tokenizers.Tokenizer(words).save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_config_without_a_token_for_padding_sets_none(path: Path) -> None:
    assert json.loads(complete_tokenizer(path, {}, {"pad_token_id": -1}, 8, None))["padding"] is None
    assert json.loads(complete_tokenizer(path, {}, {"pad_token_id": 0}, 8, None))["padding"] is not None


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        ({"truncation_side": "up"}, {}),
        ({"padding_side": 3, "pad_token": "[PAD]"}, {}),
        ({}, {"pad_token_id": 2**40}),
    ],
    ids=["side", "number as side", "number of a token"],
)
def test_settings_that_cannot_be_set_are_refused(
    settings: dict[str, Any], config: dict[str, Any], path: Path
) -> None:
    with pytest.raises(LibraryError, match=r"beside `.*tokenizer\.json` cannot be set"):
        complete_tokenizer(path, settings, config, 8, None)


@pytest.mark.parametrize(("depth", "refused"), [(DEEPEST, False), (DEEPEST + 1, True), (900, True)])
def test_json_of_a_great_depth_is_refused(depth: int, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"a_config":' * depth + "1" + "}" * depth)
    if refused:
        with pytest.raises(LibraryError, match="within each other"):
            read_json(path)
    else:
        assert read_json(path)
