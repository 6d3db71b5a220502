"""Texts in a .csv file, and columns that the server names."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serve.client import InvalidFileError, InvalidInputError, ModelMetadata, TensorMetadata
from serve.client.batch.rows import read_tensor_rows
from serve.client.batch.run import PredictionRequest, predict_file
from serve.client.calls import Instance
from serve.client.replies import Predictions
from serve.protocol.descriptions import DescribedPart
from tests.serve.client.batch.doubling import Doubling, metadata

IDS = TensorMetadata("input_ids", "INT64", (-1, -1))
SCORES = (TensorMetadata("score", "FP32", (-1,)), TensorMetadata("length", "INT64", (-1,)))


def _model(**tokenizer: Any) -> ModelMetadata:
    described = {"tokenizer": DescribedPart({"file": "tokenizer.json", **tokenizer}, "tokenizer.json")}
    return replace(metadata(input_ids=IDS), outputs=SCORES, description=described)


class Reading(Doubling):
    """Answers each text with its length; cuts texts of more than five letters, and refuses the empty one."""

    def predict(self, model: str, instances: Sequence[Instance], version: str | None = None) -> Predictions:
        texts = [
            str(text["text"]) + str(text["text_pair"]) if isinstance(text, dict) else str(text)
            for text in instances
        ]
        for place, text in enumerate(texts):
            if not text:
                raise InvalidInputError(f"`instances[{place}]` has no tokens", 400)
        answers: list[Any] = [{"score": 0.5, "length": len(text)} for text in texts]
        cut = tuple(place for place, text in enumerate(texts) if len(text) > 5)
        return Predictions(
            answers, tuple("long" if place in cut else "short" for place in range(len(texts))), cut
        )


def _predict(tmp_path: Path, text: str, model: ModelMetadata, *outputs: str) -> list[list[str]]:
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    request = PredictionRequest("double", None, tmp_path / "in.csv", tmp_path / "out.csv", outputs, batch=2)
    predict_file(Reading(model), request, lambda done, of: None)
    with (tmp_path / "out.csv").open(newline="") as stream:
        return list(csv.reader(stream))


@pytest.mark.parametrize(
    "table", ['text,text_id\ngood film,1\n"b,\nc",2\nä,3\n', 'review\ngood film\n"b,\nc"\nä\n']
)
def test_a_column_of_texts_is_answered(tmp_path: Path, table: str) -> None:
    assert _predict(tmp_path, table, _model(truncates=True)) == [
        ["label", "score", "length", "truncated"],
        ["long", "0.5", "9", "true"],
        ["short", "0.5", "4", "false"],
        ["short", "0.5", "1", "false"],
    ]


def test_pairs_of_texts_and_chosen_outputs(tmp_path: Path) -> None:
    table = "text_pair,text\nbb,a\nc,d\n"
    assert _predict(tmp_path, table, _model(), "length") == [
        ["label", "length"],
        ["short", "3"],
        ["short", "2"],
    ]


def test_a_text_that_is_refused_is_named_by_its_row(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="row 4 has no tokens"):
        _predict(tmp_path, "text,id\na,1\nb,2\nc,3\n,4\n", _model())


@pytest.mark.parametrize(
    ("table", "outputs", "reason"),
    [
        ("id,review\n1,a\n", (), "has no column `text`, which model `double` takes, but"),
        ("text,text\na,b\n", (), "the column `text` is there 2 times"),
        ("text\n", (), "has no row below its header"),
        ("text,txt_pair\na,b\n", (), "has the column `txt_pair`, which would be left out; did you mean"),
        ("text\na\n", ("nothing",), "has no output `nothing`"),
    ],
)
def test_a_table_without_texts_is_refused(
    tmp_path: Path, table: str, outputs: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InvalidFileError, match=reason):
        _predict(tmp_path, table, _model(), *outputs)


def test_columns_that_the_server_names_are_put_in_its_order(tmp_path: Path) -> None:
    named = replace(metadata(), description={"columns": DescribedPart(["a", "b", "c"], "config.toml")})
    path = tmp_path / "a.csv"
    path.write_text("c,a,b\n3,1,2\n")
    assert read_tensor_rows(path, named, ()).arrays["x"].tolist() == [[1, 2, 3]]
    for header in ("a,b,d", "a,b,b"):
        path.write_text(f"{header}\n1,2,3\n")
        with pytest.raises(InvalidFileError, match="lacks `c`; its columns, each once: `a`, `b`, `c`"):
            read_tensor_rows(path, named, ())
