import json
import logging
from pathlib import Path
from typing import Any

import pytest

from convert.manifest.entries import DESCRIPTION_KEY, MANIFEST_KEY
from convert.manifest.preprocessing import IMAGENET, Preprocessing
from serve.engine.config import CONFIG_FILE
from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription, describe_file, describe_model
from serve.engine.errors import ConfigError
from serve.engine.loading import Cancellation
from serve.engine.repository import ModelFile, read_fingerprint
from serve.engine.signature import Signature, TensorSpec
from tests.serve.tokenizers import put_tokenizer


def _signature(*shape: int | str, outputs: int | str = "K", names: tuple[str, ...] = ("x",)) -> Signature:
    specs = tuple(TensorSpec(name, BY_NAME["FP32"], ("N", *shape)) for name in names)
    return Signature(specs, (TensorSpec("y", BY_NAME["FP32"], ("N", outputs)),))


PHOTOS = _signature(3, 224, 224, outputs=3)
TABLE = _signature(2)
TEXTS = Signature((TensorSpec("input_ids", BY_NAME["INT64"], ("N", "L")),), PHOTOS.outputs)
OF_FILE = ModelDescription(classes=("x", "y", "z"), origins={"classes": "manifest"})


@pytest.fixture
def entry(tmp_path: Path) -> ModelFile:
    """Version 1 of model `m`, in a models folder of its own."""
    path = tmp_path / "models" / "m" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.touch()
    return ModelFile("m", "1", path)


def _put(entry: ModelFile, text: str, **files: str) -> None:
    folder = entry.path.parents[1]
    (folder / CONFIG_FILE).write_text(text)
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content)


def _describe(
    entry: ModelFile, signature: Signature, of_file: ModelDescription = OF_FILE
) -> ModelDescription:
    return describe_model(entry, of_file, signature, Cancellation())


def _metadata(**entries: Any) -> dict[str, str]:
    return {DESCRIPTION_KEY: json.dumps({"format": "adaptact-description/1", **entries})}


def test_the_files_own_description_goes_before_its_manifest() -> None:
    manifest: dict[str, Any] = {"classes": ["a", "b"], "preprocessing": {"size": [28, 32]}}
    described = describe_file(_metadata(classes=["c", "d"], columns=["e"]), manifest)
    assert described == ModelDescription(
        ("c", "d"),
        ("e",),
        Preprocessing(resize=(28, 32)),
        origins={"classes": "description", "columns": "description", "preprocessing": "manifest"},
    )
    assert describe_file({}, None) == describe_file({MANIFEST_KEY: "x"}, {}) == ModelDescription()


@pytest.mark.parametrize("said", [[], "RGB", {"blur": 3}, {"std": 0}, {"size": [0, 1]}, {"scale": True}])
def test_preprocessing_that_is_not_understood_is_not_followed_by_half(said: Any) -> None:
    described = describe_file({}, {"preprocessing": said})
    assert described.preprocessing is None
    assert "manifest cannot be followed here" in described.problem
    instead = describe_file(_metadata(preprocessing={}), {"preprocessing": said})
    assert (instead.preprocessing, instead.problem) == (Preprocessing(), "")


@pytest.mark.parametrize("text", ["", "[1]", '{"format": "other/1"}', "[" * 100_000])
def test_a_files_description_that_cannot_be_read_is_logged(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert describe_file({DESCRIPTION_KEY: text}, {"classes": ["a"]}).classes == ("a",)
    assert "the description in a model's file is not used" in caplog.text


def test_without_a_configuration_the_files_description_holds(entry: ModelFile) -> None:
    assert _describe(entry, PHOTOS) == OF_FILE


def test_the_configuration_goes_before_the_file(entry: ModelFile) -> None:
    _put(
        entry,
        'classes = "labels.txt"\npreprocessing = "imagenet"\noutputs = ["scores"]\n',
        labels="a\nb\nc\n",
    )
    described = _describe(entry, PHOTOS)
    assert described == ModelDescription(
        ("a", "b", "c"),
        (),
        IMAGENET,
        outputs=("scores",),
        origins={"classes": "labels.txt", "preprocessing": "config.toml", "outputs": "config.toml"},
    )
    assert described.show() == {
        "classes": ["a", "b", "c"],
        "preprocessing": IMAGENET.to_json(),
        "outputs": ["scores"],
    }


def test_a_versions_own_file_goes_before_that_of_all_versions(entry: ModelFile) -> None:
    _put(entry, 'classes = "labels.txt"', labels="a\nb\nc\n")
    (entry.path.parent / "labels.txt").write_text('["d", "e", "f"]')
    assert _describe(entry, PHOTOS).classes == ("d", "e", "f")


def test_preprocessing_may_be_a_table(entry: ModelFile) -> None:
    _put(entry, "[preprocessing]\nresize = 256\ncrop = [224, 224]\nmean = [0.5, 0.5, 0.5]\nstd = 0.5\n")
    assert _describe(entry, PHOTOS).preprocessing == Preprocessing(
        None, 256, (224, 224), mean=(0.5, 0.5, 0.5), std=(0.5,)
    )


def test_the_columns_of_a_table_are_named(entry: ModelFile) -> None:
    _put(entry, 'columns = ["age", "height"]')
    assert _describe(entry, TABLE).columns == ("age", "height")


def test_files_that_begin_with_a_byte_order_mark_are_read(entry: ModelFile) -> None:
    _put(entry, '\ufeffcolumns = "columns.txt"', columns="\ufeffage\r\nheight\r\n")
    described = _describe(entry, TABLE)
    assert (described.columns, described.origins["columns"]) == (("age", "height"), "columns.txt")


def test_columns_of_the_file_that_do_not_fit_are_left_out(entry: ModelFile) -> None:
    said = ModelDescription(columns=("age",), origins={"columns": "description"})
    assert _describe(entry, TABLE, said) == ModelDescription()


@pytest.mark.parametrize(
    ("text", "signature", "reason"),
    [
        ("classes = 3", PHOTOS, "`classes` is `3`, expected a list of names"),
        ('classes = ["a", 7, "c"]', PHOTOS, r"`classes\[1\]` is `7`, expected a name"),
        ('classes = ["a"]', PHOTOS, "1 classes are named, and the model has `y`"),
        ('classes = "none.txt"', PHOTOS, "`classes` names `none.txt`, and there is no such file"),
        (
            'classes = "../labels.txt"',
            PHOTOS,
            "expected the name of a file beside it that ends in .json or .txt",
        ),
        (
            'classes = "labels.csv"',
            PHOTOS,
            "expected the name of a file beside it that ends in .json or .txt",
        ),
        ('classes = "labels.txt"', PHOTOS, "`labels.txt.1.` is ``, expected a name"),
        (
            'preprocessing = "imagnet"',
            PHOTOS,
            "`preprocessing` is `imagnet`, expected a table, or: `imagenet`",
        ),
        ('preprocessing = "imagenet"', TABLE, None),
        ('preprocessing = "imagenet"', _signature(3, 299, 299), "images of .* pixels are described"),
        (
            "[preprocessing]\nmaen = 0.5",
            PHOTOS,
            "`preprocessing` has the unknown key `maen`, expected some of",
        ),
        ("[preprocessing]\nstd = 0", PHOTOS, "`preprocessing.std` holds 0"),
        ('columns = ["a"]', TABLE, "1 columns are named, and the input `x` has 2"),
        ('columns = ["a", "a"]', TABLE, "`columns` has `a` twice"),
        ('columns = ["a", "b"]', _signature(1, names=("a", "b")), "columns are those of one input"),
        ('outputs = ["a", "b"]', PHOTOS, "expected 1 different names, one for each of: `y`"),
        ("outputs = [1]", PHOTOS, r"`outputs\[0\]` is `1`, expected a name"),
        ("outputs = []", PHOTOS, "`outputs` is `.*`, expected a list of names"),
        ('tokenizer = "t.json"', TEXTS, "`tokenizer` names `t.json`, and there is no such file"),
        (
            "tokenizer = 1",
            TEXTS,
            "`tokenizer` is `1`, expected the name of a file beside it that ends in .json",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_named(
    entry: ModelFile, text: str, signature: Signature, reason: str | None
) -> None:
    _put(entry, text, labels="a\n\nb\n")
    if reason is None:  # rows of pixels may be anything
        _describe(entry, signature)
        return
    with pytest.raises(ConfigError, match=reason) as error:
        _describe(entry, signature)
    assert "\n" not in str(error.value)


def test_a_tokenizer_for_a_model_without_tokens_is_an_error_where_it_is_named(entry: ModelFile) -> None:
    put_tokenizer(entry.path.with_name("tokenizer.json"))
    assert _describe(entry, PHOTOS).tokenizer is None
    _put(entry, 'tokenizer = "tokenizer.json"')
    with pytest.raises(ConfigError, match="`tokenizer` is for inputs `input_ids`"):
        _describe(entry, PHOTOS)


@pytest.mark.parametrize("place", ["1/model.tokenizer.json", "1/tokenizer.json", "tokenizer.json"])
def test_a_tokenizer_is_found_beside_the_model(entry: ModelFile, place: str) -> None:
    pytest.importorskip("tokenizers")
    path = put_tokenizer(entry.path.parents[1] / place)
    path.with_name("tokenizer_config.json").write_text('{"model_max_length": 16}')
    described = _describe(entry, TEXTS, ModelDescription())
    assert described.origins == {"tokenizer": path.name}
    assert described.show() == {"tokenizer": {"file": path.name, "max_length": 16, "truncates": False}}


def test_a_bare_files_tokenizer_has_its_name(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    bare = ModelFile("m", "1", tmp_path / "m.onnx", bare=True)
    before = read_fingerprint(bare)
    put_tokenizer(tmp_path / "tokenizer.json")
    assert _describe(bare, TEXTS).tokenizer is None
    assert read_fingerprint(bare) == before
    put_tokenizer(tmp_path / "m.tokenizer.json")
    assert read_fingerprint(bare) != before
    assert _describe(bare, TEXTS).tokenizer is not None


def test_links_out_of_the_models_folder_are_refused(entry: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a\nb\nc\n")
    _put(entry, 'classes = "labels.txt"')
    (entry.path.parents[1] / "labels.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match="is a link that leads out of the models folder"):
        _describe(entry, PHOTOS)


@pytest.mark.parametrize("content", ["[", "[" * 100_000])
def test_a_tokenizers_settings_that_cannot_be_read_are_an_error(entry: ModelFile, content: str) -> None:
    path = put_tokenizer(entry.path.with_name("tokenizer.json"))
    path.with_name("tokenizer_config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"`tokenizer_config.json` cannot be read as JSON"):
        _describe(entry, TEXTS)


@pytest.mark.parametrize("name", ["config.toml", "labels.txt", "tokenizer.json", "1/tokenizer.json"])
def test_what_describes_a_model_changes_its_fingerprint(entry: ModelFile, name: str) -> None:
    before = read_fingerprint(entry)
    (entry.path.parents[1] / "training.log").touch()
    assert read_fingerprint(entry) == before
    (entry.path.parents[1] / name).touch()
    assert read_fingerprint(entry) != before
