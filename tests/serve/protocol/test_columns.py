from typing import Any

import numpy as np
import orjson
import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription
from serve.engine.errors import MalformedRequestError
from serve.engine.signature import Array, Signature, TensorSpec
from serve.protocol.predict import parse_instances, read_instances


def _inputs(**columns: tuple[str, tuple[int | str, ...]]) -> Signature:
    return Signature(
        tuple(TensorSpec(name, BY_NAME[datatype], shape) for name, (datatype, shape) in columns.items()), ()
    )


PEOPLE = _inputs(
    age=("INT64", ("N", 1)), height=("FP32", ("N", 1)), city=("BYTES", ("N", 1)), member=("BOOL", ("N",))
)
ROW = {"age": 31, "height": 1.5, "city": "Kyoto", "member": True}
MATRIX = _inputs(x=("FP32", ("N", 2)))
COLUMNS = ModelDescription(columns=("age", "height"))


def _read(signature: Signature, rows: Any, description: ModelDescription | None = None) -> dict[str, Array]:
    return read_instances(parse_instances(orjson.dumps({"instances": rows})), signature, description)


def test_each_column_is_an_input() -> None:
    arrays = _read(PEOPLE, [ROW, {"member": False, "city": "Bergen", "height": 2, "age": -4}])
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "age": [[31], [-4]],
        "height": [[1.5], [2.0]],
        "city": [["Kyoto"], ["Bergen"]],
        "member": [True, False],
    }


def test_a_missing_number_is_nan_and_reaches_the_model() -> None:
    body = b'{"instances": [{"age": 1, "height": NaN, "city": "", "member": true}]}'
    read = read_instances(parse_instances(body), PEOPLE)
    assert np.isnan(read["height"]).tolist() == [[True]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"age": None},
            "`age` is null, expected a whole number (`INT64`); none may be missing",
        ),
        ({"age": "31"}, "`age` is the text `31`, expected a whole number (`INT64`); leave out the quotes"),
        ({"age": "old"}, "`age` is the text `old`, expected a whole number (`INT64`)"),
        ({"age": True}, "`age` is `true`, expected a whole number (`INT64`)"),
        ({"age": 31.0}, "`age` is `31.0`, expected a whole number (`INT64`); leave out the fraction"),
        ({"age": 31.5}, "`age` is `31.5`, expected a whole number (`INT64`)"),
        ({"age": 2**63}, "`age` is `9223372036854775808`, expected a whole number from -922"),
        ({"age": [1, 2]}, "`age` is a list, expected a whole number"),
        ({"age": {}}, "`age` is an object, expected a whole number"),
        ({"height": 1e39}, "`height` is `1e+39`, expected a smaller number (`FP32`)"),
        (
            {"height": None},
            "`height` is null, expected a number (`FP32`); a missing one is NaN, if the model",
        ),
        ({"height": False}, "`height` is `false`, expected a number (`FP32`)"),
        ({"city": 7}, "`city` is `7`, expected a text; put it in quotes"),
        ({"city": None}, "`city` is null, expected a text"),
        ({"member": 1}, "`member` is `1`, expected true or false"),
        ({"member": "true"}, "`member` is the text `true`, expected true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_column(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedRequestError) as error:
        _read(PEOPLE, [ROW, ROW, {**ROW, **change}])
    assert str(error.value).startswith(f"`instances[2]`: {reason}")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"agee": 3},
            "has no value for `age` and has `agee`, which the model does not (did you mean `age`?); ",
        ),
        ({}, "has no value for `age`; expected an object with exactly the model's inputs: `age`, `height`, "),
        ({"age": 1, "shoe": 3}, "has `shoe`, which the model does not; expected"),
        ([1, 2, 3, 4], "is a list, expected an object with exactly the model's inputs: `age`"),
        (None, "is null, expected an object"),
        ("Kyoto", "is the text `Kyoto`, expected an object"),
    ],
)
def test_a_row_without_exactly_the_columns_is_named(row: Any, reason: str) -> None:
    others = {name: value for name, value in ROW.items() if name != "age"}
    broken = {**others, **row} if isinstance(row, dict) else row
    with pytest.raises(MalformedRequestError) as error:
        _read(PEOPLE, [ROW, broken])
    assert str(error.value).startswith(f"`instances[1]` {reason}")


def test_the_columns_of_one_input_are_named_by_the_description() -> None:
    rows = [{"height": 1.5, "age": 31}, {"age": 4, "height": 1}]
    arrays = _read(MATRIX, rows, COLUMNS)
    assert arrays["x"].tolist() == [[31.0, 1.5], [4.0, 1.0]]
    assert arrays["x"].dtype == np.float32
    assert _read(MATRIX, [[31, 1.5]], COLUMNS)["x"].tolist() == [[31.0, 1.5]]
    assert _read(MATRIX, [{"x": [31, 1.5]}], COLUMNS)["x"].tolist() == [[31.0, 1.5]]
    single = ModelDescription(columns=("age",))
    assert _read(_inputs(x=("INT64", ("N", 1))), [{"age": 3}], single)["x"].tolist() == [[3]]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [{"age": 1, "height": 2}, {"age": 1, "height": "tall"}],
            "`instances[1]`: `height` is the text `tall`",
        ),
        ([{"age": [1, 2], "height": []}], "`instances[0]`: `age` is a list, expected a number"),
        ([{"age": 1, "height": 2}, {"age": 1}], "`instances[1]` has no value for `height`"),
        ([{"age": 1, "height": 2}, [1, 2]], "`instances[1]` is a list, expected an object"),
        ([{"age": 1, "hieght": 2}], "(did you mean `height`?)"),
    ],
)
def test_a_wrong_value_among_the_columns_of_one_input_is_named(rows: Any, reason: str) -> None:
    with pytest.raises(MalformedRequestError) as error:
        _read(MATRIX, rows, COLUMNS)
    assert reason in str(error.value)


def test_a_datatype_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(MalformedRequestError, match="BF16 has no JSON form"):
        _read(_inputs(x=("BF16", ("N", 2))), [{"age": 1, "height": 2}], COLUMNS)


def test_of_a_column_given_twice_the_last_counts() -> None:
    body = b'{"instances": [{"age": 1, "height": 2, "age": 3}]}'
    assert read_instances(parse_instances(body), MATRIX, COLUMNS)["x"].tolist() == [[3.0, 2.0]]


def test_an_image_for_a_model_of_columns_is_no_row() -> None:
    with pytest.raises(MalformedRequestError, match=r"`instances\[0\]` is an image, expected an object with"):
        _read(PEOPLE, [{"b64": "YWJj"}])


@pytest.mark.slow
def test_many_rows_are_read() -> None:
    rows = [{"age": number, "height": 0.5} for number in range(100_000)]
    arrays = _read(MATRIX, rows, COLUMNS)
    assert arrays["x"].shape == (100_000, 2)
    assert arrays["x"][-1].tolist() == [99_999.0, 0.5]
    with pytest.raises(MalformedRequestError, match=r"`instances\[99999\]`: `age` is null"):
        _read(MATRIX, [*rows[:-1], {"age": None, "height": 1}], COLUMNS)
