from typing import Any

import pytest

from serve.engine.errors import EngineError, MalformedRequestError, UnsupportedError
from serve.protocol.json_text import Value
from serve.protocol.parameters import MAX_NUMBER, check_reserved, read_parameters, read_timeout_seconds


def test_parameters_are_texts_numbers_true_and_false() -> None:
    given: dict[str, Value] = {"a": "x", "b": 1, "c": 1.5, "d": True}
    assert read_parameters("request", "", given) == given
    assert read_parameters("request", "", None) == {}


@pytest.mark.parametrize("value", [None, [], {}, [1]])
def test_anything_else_is_no_parameter(value: Any) -> None:
    with pytest.raises(MalformedRequestError, match="input `x`: parameter `a` is"):
        read_parameters("input", "x", {"a": value})


def test_a_timeout_is_in_microseconds_and_zero_is_none() -> None:
    assert read_timeout_seconds({"timeout": 2_500_000}) == 2.5
    assert read_timeout_seconds({"timeout": 2_500_000.0}) == 2.5
    assert read_timeout_seconds({"timeout": 0}) is None
    assert read_timeout_seconds({}) is None


@pytest.mark.parametrize("value", [-1, 1.5, "10", True, MAX_NUMBER + 1])
def test_a_timeout_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(MalformedRequestError, match="the request: `timeout` is"):
        read_timeout_seconds({"timeout": value})


@pytest.mark.parametrize(
    "parameters",
    [
        {"priority": 3},
        {"sequence_id": 0, "sequence_start": False},
        {"sequence_id": ""},
        {"triton_enable_empty_final_response": True},
        {"mine": "x"},
    ],
)
def test_what_asks_for_nothing_that_is_not_done_is_taken(parameters: dict[str, Any]) -> None:
    check_reserved(parameters)


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"sequence_id": 7}, UnsupportedError, "its models keep no state between requests"),
        ({"sequence_id": "a"}, UnsupportedError, "its models keep no state between requests"),
        ({"priority": -1}, MalformedRequestError, "`priority` is `-1`"),
        ({"triton_new": 1}, MalformedRequestError, "`triton_new` is not known"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    parameters: dict[str, Any], kind: type[EngineError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check_reserved(parameters)
