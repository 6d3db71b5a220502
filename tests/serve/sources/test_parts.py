import tracemalloc
from collections.abc import Iterator

import pytest

from serve.engine.repository import MAX_FILES
from serve.sources.errors import SourceError
from serve.sources.parts import MAX_LISTED, find_key, list_parts
from serve.sources.source import SourceFile

MODEL = "digits/1/model.onnx"


def files(*paths: str, size: int = 1) -> list[SourceFile]:
    return [SourceFile(path, size, "stamp") for path in paths]


@pytest.mark.parametrize(
    "path",
    [
        *("digits", "digits/", "digits/1", "digits/1/", "digits/0/model.onnx", "digits/x/model.onnx", ""),
        *("model.onnx", "/digits/1/model.onnx", "../digits/1/model.onnx", "digits/1/../../../etc/passwd"),
        *("digits/1/.hidden", ".source/status.json", "digits/.source", "digits/1/./model.onnx"),
        *("-digits/1/model.onnx", "digits/README.md", "digits/1/sub/", "di\ngits/1/model.onnx"),
        f"{'d' * 129}/1/model.onnx",
    ],
)
def test_what_is_no_file_of_a_model_belongs_to_none(path: str) -> None:
    assert find_key(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("digits/1//x", "an empty name"),
        ("digits/1/a\\b", "a character"),
        ("digits/1/a\nb", "a character"),
        ("digits/1/a\ud800b", "a character"),
        ("digits/1/a\u202eb", "a character"),
        (f"digits/1/{'é' * 200}", "too long"),
        (f"digits/1/{'a/' * 5}b", "more than 4 folders deep"),
        ("digits/1/MODEL.onnx", "the same name"),
        ("digits/1/model.onnx/x", "a file and a folder"),
    ],
)
def test_names_that_files_cannot_have_refuse_the_version_alone(path: str, problem: str) -> None:
    listing = list_parts(files(MODEL, path, "digits/2/model.onnx"), 100)
    by_version = {part.version: part.problem for part in listing.parts}
    assert problem in by_version["1"]
    assert by_version["2"] == ""


def test_models_that_differ_in_case_only_are_refused_but_for_one() -> None:
    listing = list_parts(files("Digits/1/model.onnx", MODEL), 100)
    assert [(part.model, bool(part.problem)) for part in listing.parts] == [
        ("Digits", False),
        ("digits", True),
    ]


def test_markers_of_folders_are_left_out() -> None:
    listing = list_parts([*files("digits/1/data", size=0), *files("digits/1/data/w", MODEL)], 100)
    assert [file.path for file in listing.parts[0].files] == ["digits/1/data/w", MODEL]


def test_a_path_of_endless_folders_costs_no_memory() -> None:
    path = f"digits/1/{'a/' * 20_000}b"
    tracemalloc.start()
    try:
        [part] = list_parts(files(MODEL, path), 100).parts
        assert tracemalloc.get_traced_memory()[1] < 10 * len(path)
    finally:
        tracemalloc.stop()
    assert "too long" in part.problem


def test_sizes_and_counts_are_bounded() -> None:
    assert "the limit is 3" in list_parts(files(MODEL, "digits/1/w", size=2), 3).parts[0].problem
    assert "below zero" in list_parts(files(MODEL, size=-1), 3).parts[0].problem
    many = files(MODEL, *(f"digits/1/{number}" for number in range(MAX_FILES)))
    assert f"more than {MAX_FILES} files" in list_parts(many, 10**6).parts[0].problem
    large = files("digits/labels.txt", size=2**30)
    assert "the limit is" in list_parts([*files(MODEL), *large], 2**40).parts[0].problem


def test_a_hundred_thousand_files_are_not_read() -> None:
    read = []

    def endless() -> Iterator[SourceFile]:
        for number in range(100_000):
            read.append(number)
            yield SourceFile(f"digits/{number + 1}/model.onnx", 1, "stamp")

    with pytest.raises(SourceError, match=f"more than {MAX_LISTED} files"):
        list_parts(endless(), 100)
    assert len(read) == MAX_LISTED + 1


def test_versions_without_a_model_are_no_versions() -> None:
    listing = list_parts(files(MODEL, "digits/2/model.plan", "other/1/model.pt", "other/labels.txt"), 100)
    assert [part.folder for part in listing.parts] == ["digits/1"]
