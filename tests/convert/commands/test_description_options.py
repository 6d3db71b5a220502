import json
from pathlib import Path

import pytest

from convert.commands import description_options as options
from convert.errors import UsageError
from convert.manifest.preprocessing import IMAGENET, Preprocessing
from tests.adaptive_act.libraries.models import write_tokenizer

TOML = """
color = "BGR"
resize = 40
crop = [32, 32]
interpolation = "bicubic"
mean = [104, 117, 123]
scale = 1.0
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_given_by_default() -> None:
    given = options.parse_given(None, None, None, None)
    assert (given.classes, given.preprocessing, given.outputs, given.tokenizer) == (None, None, None, None)
    assert not given.without


def test_each_part_may_be_left_out_or_read() -> None:
    assert options.parse_given("none", "none", None, "none").without == {
        "classes",
        "preprocessing",
        "tokenizer",
    }
    Path("labels.txt").write_text("\ufeffcat\n犬\n", encoding="utf-8")  # as Excel writes it
    Path("tokenizer.json").write_text('{"model": {"type": "WordLevel"}}')
    given = options.parse_given("labels.txt", "imagenet", "scores, boxes", "tokenizer.json")
    assert (given.classes, given.preprocessing) == (("cat", "犬"), IMAGENET)
    assert given.outputs == ("scores", "boxes")
    assert given.tokenizer == '{"model": {"type": "WordLevel"}}'
    assert not given.without


def test_preprocessing_is_read_of_toml_and_json() -> None:
    expected = Preprocessing(
        color="BGR", resize=40, crop=(32, 32), interpolation="bicubic", mean=(104, 117, 123), scale=1.0
    )
    Path("p.toml").write_text(TOML)
    Path("table.toml").write_text(f"[preprocessing]{TOML}")
    Path("p.json").write_text(json.dumps(expected.to_json()))
    assert {options.read_preprocessing(name) for name in ("p.toml", "table.toml", "p.json")} == {expected}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("resize = 0", "`p.toml.resize` is `0`, expected a number of pixels"),
        ("std = [0, 1, 1]", "holds 0"),
        ("mean = [nan, 0, 0]", "expected a finite number"),
        ("rotate = 3", "unknown key `rotate`"),
        ("resize = ", "is not TOML"),
        ("{", "is not JSON"),
        ("{" * 100_000, "is not JSON"),
        ("preprocessing = 3", "is `int`, expected keys and values"),
    ],
)
def test_preprocessing_with_wrong_numbers_is_refused(content: str, message: str) -> None:
    Path("p.toml").write_text(content)
    with pytest.raises(UsageError, match=message):
        options.read_preprocessing("p.toml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagnet", "there is no file `imagnet`, expected one, or `imagenet` or `none`"),
        (".", "`.` is no file"),
        ("latin", "it is not UTF-8"),
        ("a\0b", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_wrong_use(name: str, message: str) -> None:
    Path("latin").write_bytes(b"caf\xe9")
    with pytest.raises(UsageError, match=message):
        options.read_preprocessing(name)


def test_a_similar_file_is_suggested() -> None:
    Path("labels.txt").touch()
    with pytest.raises(UsageError, match="there is no file") as refused:
        options.read_classes("lables.txt")
    assert "labels.txt" in str(refused.value.hint)
    with pytest.raises(UsageError, match=r"`--classes`: `labels.txt\[0\]` is ``, expected a name"):
        options.read_classes("labels.txt")


@pytest.mark.parametrize("names", ["", "a,", "a,a", ","])
def test_names_of_outputs_are_distinct(names: str) -> None:
    with pytest.raises(UsageError, match="expected distinct names"):
        options.parse_output_names(names)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}'])
def test_another_file_is_no_tokenizer(content: str) -> None:
    Path("t.json").write_text(content)
    with pytest.raises(UsageError, match=r"is not JSON|is no tokenizer.json"):
        options.read_tokenizer("t.json")


def test_a_tokenizer_is_completed_by_the_settings_beside_it(tmp_path: Path) -> None:
    file = write_tokenizer(tmp_path)
    completed = json.loads(str(options.read_tokenizer(str(file))))
    assert completed["padding"]["pad_token"] == "[PAD]"
    assert completed["truncation"] is None  # transformers' own number for no limit
    Path("tokenizer_config.json").write_text("[]")
    with pytest.raises(UsageError, match="expected a JSON object"):
        options.read_tokenizer(str(file))


def test_a_column_is_named_once() -> None:
    Path("columns.txt").write_text("age\nage")
    with pytest.raises(UsageError, match="`columns` has `age` twice"):
        options.read_columns("columns.txt")
