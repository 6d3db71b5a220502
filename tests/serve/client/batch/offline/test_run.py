import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from serve.client import InvalidFileError, InvalidReplyError
from serve.client.batch.offline.run import answer_in_threads
from serve.client.batch.offline.shards import Shard
from serve.client.batch.results import Table
from serve.client.batch.run import journal_path
from serve.protocol import images
from tests.serve import models
from tests.serve.client.batch.offline.conftest import GIVEN, Predict, load
from tests.serve.client.batch.offline.writing import FORMS, write_csv

THREADS = answer_in_threads(2)


class Stopping:
    """Answers so many shards, and then ends as if it were killed."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, *given: Any) -> Iterator[tuple[Shard, Table]]:
        for number, answered in enumerate(THREADS(*given)):
            if number == self.after:
                raise KeyboardInterrupt
            yield answered


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_answers_in_order(predict: Predict, tmp_path: Path, form: str) -> None:
    name, write = FORMS[form]
    write(tmp_path / name, GIVEN)
    done = predict(tmp_path / name)
    assert (done.rows, done.kept, done.failed) == (100, 0, 0)
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    assert not journal_path(tmp_path / "out.npz").exists()


def test_a_run_that_was_ended_goes_on_with_what_is_missing(predict: Predict, tmp_path: Path) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "in.csv", answer=Stopping(3))
    assert not (tmp_path / "out.npz").exists()
    asked: list[Shard] = []

    def note(*given: Any) -> Iterator[tuple[Shard, Table]]:
        asked.extend(given[-1])
        return THREADS(*given)

    done = predict(tmp_path / "in.csv", answer=note)
    assert done.kept == 48
    assert sum(shard.rows for shard in asked) == 52
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()


@pytest.mark.parametrize("form", ["csv", "npz", "parquet, columns"])
def test_a_changed_input_is_another_run(predict: Predict, tmp_path: Path, form: str) -> None:
    name, write = FORMS[form]
    write(tmp_path / name, GIVEN)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / name, answer=Stopping(3))
    changed = GIVEN.copy()
    changed[70, 1] = 0.015625  # no extreme, which a Parquet file names at its end
    write(tmp_path / name, changed)
    with pytest.raises(InvalidFileError, match=r"something else: fingerprint .*--restart"):
        predict(tmp_path / name)
    assert predict(tmp_path / name, restart=True).kept == 0
    assert load(tmp_path / "out.npz")["y"].tobytes() == (changed + changed).tobytes()


def test_an_equal_copy_of_the_input_is_the_same_run(predict: Predict, tmp_path: Path) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "in.csv", answer=Stopping(3))
    write_csv(tmp_path / "in.csv", GIVEN)
    os.utime(tmp_path / "in.csv", ns=(1, 1))
    assert predict(tmp_path / "in.csv").kept == 48


def test_an_input_that_changes_meanwhile_gives_no_result(predict: Predict, tmp_path: Path) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)

    def change(*given: Any) -> Iterator[tuple[Shard, Table]]:
        yield from THREADS(*given)
        os.utime(tmp_path / "in.csv", ns=(1, 1))

    with pytest.raises(InvalidFileError, match="is not what it was when the run began"):
        predict(tmp_path / "in.csv", answer=change)
    assert not (tmp_path / "out.npz").exists()


def test_another_model_is_another_run(predict: Predict, tmp_path: Path, double: Path) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "in.csv", answer=Stopping(3))
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE.replace("Add(x, x)", "Mul(x, x)")))
    with pytest.raises(InvalidFileError, match="something else: version"):
        predict(tmp_path / "in.csv")


PHOTOS = {"format": 1, "classes": ["red", "green", "blue"], "preprocessing": {}}
BROKEN = """x[0],x[1],x[2]
1,2,3
4,five,6
7,8

"9
",10,11
1e39,0,0
"""
REASONS = ["", "row 2, column `x[1]` holds no `FP32`", "row 3: it has 2 values, the header 3", ""]


def test_a_row_that_cannot_be_read_ends_the_run_and_is_named(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(BROKEN)
    with pytest.raises(InvalidFileError, match=r"in\.csv`: row 2, column `x\[1\]` holds no `FP32`"):
        predict(tmp_path / "in.csv")


def test_rows_that_cannot_be_read_have_their_reasons(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(BROKEN)
    done = predict(tmp_path / "in.csv", "out.jsonl", keep_going=True)
    assert (done.rows, done.failed) == (5, 3)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["y"] for row in rows] == [[2, 4, 6], None, None, [18, 20, 22], None]
    assert all(row["error"].startswith(reason) for row, reason in zip(rows, REASONS, strict=False))
    predict(tmp_path / "in.csv", "out.csv", keep_going=True)
    assert (tmp_path / "out.csv").read_text().splitlines()[:2] == ["y[0],y[1],y[2],error", "2.0,4.0,6.0,"]
    assert (tmp_path / "out.csv").read_text().splitlines()[2].startswith(',,,"row 2, ')
    predict(tmp_path / "in.csv", "out.parquet", keep_going=True)
    assert parquet.read_table(tmp_path / "out.parquet")["y"].null_count == 3
    predict(tmp_path / "in.csv", "out.npz", keep_going=True)
    assert np.isnan(load(tmp_path / "out.npz")["y"][:, 0]).tolist() == [False, True, True, False, True]


def test_values_that_the_model_refuses_are_rows_without_an_answer(predict: Predict, tmp_path: Path) -> None:
    model = models.put(tmp_path / "models", "lookup", models.model(models.LOOKUP))
    np.savez(tmp_path / "in.npz", index=np.array([0, 2, 7, 1] * 10))
    assert predict(tmp_path / "in.npz", model=model, keep_going=True).failed == 10
    found = load(tmp_path / "out.npz")
    assert np.array_equal(found["y"], [1, 3, np.nan, 2] * 10, equal_nan=True)
    assert found["error"][2].startswith("row 3: ")
    with pytest.raises(InvalidFileError, match=r"in\.npz`: row 3: "):
        predict(tmp_path / "in.npz", model=model, restart=True, answer=answer_in_threads(1))


def test_a_model_of_a_fixed_number_of_rows_answers_the_others(predict: Predict, tmp_path: Path) -> None:
    model = models.put(tmp_path / "models", "four", models.model(models.DOUBLE.replace("N", "4")))
    np.savez(tmp_path / "in.npz", x=GIVEN)
    predict(tmp_path / "in.npz", model=model)
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    lines = ["x[0],x[1],x[2]", "1,2,3", "1,2", "4,5,6", "7,8,9"]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    assert predict(tmp_path / "in.csv", model=model, keep_going=True).failed == 1
    assert load(tmp_path / "out.npz")["y"][:, 0].tolist()[2:] == [8, 14]
    (tmp_path / "in.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(InvalidFileError, match=r"takes `4` rows at once, .* has `3`"):
        predict(tmp_path / "in.csv", model=model, restart=True)


def test_without_any_answer_there_is_no_result(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{}\n[1]\nnull\nnonsense\n")
    with pytest.raises(InvalidFileError, match="no row could be answered; the first: row 1"):
        predict(tmp_path / "in.jsonl", keep_going=True)
    assert not (tmp_path / "out.npz").exists()


def test_a_folder_of_files_is_one_input_in_the_order_of_their_names(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for number, rows in enumerate([GIVEN[:30], GIVEN[30:31], GIVEN[31:]]):
        write_csv(tmp_path / "parts" / f"part-{number}.csv", rows)
    (tmp_path / "parts" / "_SUCCESS").touch()
    assert predict(tmp_path / "parts").rows == 100
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    with pytest.raises(InvalidFileError, match="would lie among the inputs"):
        predict(tmp_path / "parts", "parts/out.csv")
    (tmp_path / "out.csv").symlink_to(tmp_path / "parts" / "part-1.csv")
    with pytest.raises(InvalidFileError, match="is the input"):
        predict(tmp_path / "parts", "out.csv")
    (tmp_path / "parts" / "more.jsonl").touch()
    with pytest.raises(InvalidFileError, match="different kinds of files"):
        predict(tmp_path / "parts")


def test_images_are_answered_by_name(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pytest.importorskip("PIL.Image")
    text = (
        "colours (float[N, 3, 2, 2] x) => (float[N, 3] y) {\n"
        "axes = Constant<value = int64[2] {2, 3}>()\n y = ReduceMax<keepdims = 0>(x, axes) }"
    )
    model = models.put(tmp_path / "models", "colours", models.with_manifest(models.model(text), PHOTOS))
    (tmp_path / "images").mkdir()
    for name, colour in {"a.png": (0, 0, 255), "c.png": (255, 0, 0)}.items():
        image.new("RGB", (2, 2), colour).save(tmp_path / "images" / name)
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert predict(tmp_path / "images", "out.csv", model=model, keep_going=True).failed == 1
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "file,label,y[0],y[1],y[2],error"
    assert lines[1] == "a.png,blue,0.0,0.0,1.0,"
    assert lines[2].startswith("b.png,,,,,input `x`: `b.png` is not a PNG")
    assert lines[3] == "c.png,red,1.0,0.0,0.0,"
    with pytest.raises(InvalidFileError, match=r"`b\.png`"):
        predict(tmp_path / "images", "out.npz", model=model)
    (tmp_path / "images" / "b.png").unlink()
    monkeypatch.setattr(images, "REQUEST_PIXELS", 6)  # more than one image has, and less than two
    assert predict(tmp_path / "images", "out.npz", model=model, restart=True).rows == 2
    assert load(tmp_path / "out.npz")["file"].tolist() == ["a.png", "c.png"]


def test_an_output_without_a_row_for_each_is_no_fault_of_rows(predict: Predict, tmp_path: Path) -> None:
    model = models.put(tmp_path / "models", "total", models.model(models.TOTAL))
    np.savez(tmp_path / "in.npz", x=GIVEN)
    for keep_going in (False, True):
        with pytest.raises(InvalidReplyError, match="it has no answer for each; choose other outputs"):
            predict(tmp_path / "in.npz", model=model, keep_going=keep_going)


def test_an_output_with_a_name_of_the_result_is_refused(predict: Predict, tmp_path: Path) -> None:
    text = "two (float[N, 3] x) => (float[N, 3] y, float[N, 3] file) { y = Add(x, x)\n file = Add(x, x) }"
    model = models.put(tmp_path / "models", "two", models.with_manifest(models.model(text), PHOTOS))
    np.savez(tmp_path / "in.npz", x=GIVEN)
    with pytest.raises(InvalidFileError, match="has an output `file`, which results of `--keep-going` have"):
        predict(tmp_path / "in.npz", model=model, keep_going=True)
    assert predict(tmp_path / "in.npz", model=model, keep_going=True, outputs=("y",)).rows == 100
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    with pytest.raises(InvalidFileError, match="which results of folders of images have of their own"):
        predict(tmp_path / "images", model=model)


def test_files_may_have_names_that_are_no_text(predict: Predict, tmp_path: Path, double: Path) -> None:
    name = os.fsdecode(b"\xff.parquet")
    FORMS["parquet, lists"][1](tmp_path / "in.parquet", GIVEN)
    (tmp_path / "in.parquet").rename(tmp_path / name)
    predict(tmp_path / name)
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    predict(tmp_path / name, os.fsdecode(b"out\xff.parquet"))
    (tmp_path / os.fsdecode(b"out\xff.parquet")).rename(tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet")["y"].to_pylist() == (GIVEN + GIVEN).tolist()
    model = double.rename(double.with_name(os.fsdecode(b"\xff.onnx")))
    with pytest.raises(InvalidFileError, match="is not UTF-8, as ONNX Runtime needs it"):
        predict(tmp_path / name, model=model)
