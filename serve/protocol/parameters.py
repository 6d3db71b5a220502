"""The protocol's parameters: their checks, and the values of those that this server supports."""

from collections.abc import Mapping

from serve.engine.errors import MalformedRequestError, UnsupportedError, quote
from serve.protocol.json_text import Value

MICROSECONDS = 1_000_000
MAX_NUMBER = 2**64 - 1
RESERVED_PREFIX = "triton_"
# Accepted without effect: every answer here is one reply, and so the final one.
ACCEPTED = ("triton_enable_empty_final_response",)
NONE: Mapping[str, Value] = {}
UNIT = "unit_id"
"""Whom or what a request is for; what experiments assign to their variants."""


def read_parameters(kind: str, name: str, parameters: Value) -> Mapping[str, Value]:
    """The parameters of a request, an input or an output; raises `MalformedRequestError` for invalid ones."""
    if parameters is None:
        return NONE
    if not isinstance(parameters, dict):
        raise MalformedRequestError(f"{describe(kind, name)}: `parameters` is not an object")
    for key, value in parameters.items():
        if not isinstance(value, (str, int, float)):
            raise MalformedRequestError(
                f"{describe(kind, name)}: parameter {quote(key)} is {quote(value)}, "
                "expected a text, a number, true or false"
            )
    return parameters


def check_reserved(parameters: Mapping[str, Value]) -> None:
    """Raise `MalformedRequestError` for a reserved parameter that is unknown or has a wrong value.

    Raises `UnsupportedError` for a sequence: no model here keeps state between requests.
    """
    if parameters.get("sequence_id") not in (None, 0, ""):
        raise UnsupportedError(
            "the request: parameter `sequence_id` is not supported by this server: "
            "its models keep no state between requests"
        )
    read_whole_number("request", "", parameters.get("priority", 0), "priority")
    for key in parameters:
        if key.startswith(RESERVED_PREFIX) and key not in ACCEPTED:
            raise MalformedRequestError(
                f"the request: parameter {quote(key)} is not known, and names that begin with "
                f"`{RESERVED_PREFIX}` are reserved"
            )


def read_timeout_seconds(parameters: Mapping[str, Value]) -> float | None:
    """The request's `timeout`, which is in microseconds; None for the model's own."""
    microseconds = read_whole_number("request", "", parameters.get("timeout", 0), "timeout")
    return microseconds / MICROSECONDS or None


def read_whole_number(kind: str, name: str, value: object, parameter: str, most: int = MAX_NUMBER) -> int:
    """The parameter's value; raises `MalformedRequestError` unless it is a whole number up to the most."""
    if type(value) is int and 0 <= value <= most:
        return value
    # To JSON 2.0 is the same number as 2.
    if isinstance(value, float) and value.is_integer() and 0 <= value <= most:
        return int(value)
    raise MalformedRequestError(
        f"{describe(kind, name)}: `{parameter}` is {quote(value)}, expected a whole number from 0 to `{most}`"
    )


def read_flag(kind: str, name: str, value: object, parameter: str) -> bool:
    """The parameter's value; raises `MalformedRequestError` unless it is true or false."""
    if isinstance(value, bool):
        return value
    raise MalformedRequestError(
        f"{describe(kind, name)}: `{parameter}` is not true or false, got {quote(value)}"
    )


def describe(kind: str, name: str) -> str:
    """The owner of a parameter in an error: a named input or output, or the request itself."""
    return f"{kind} {quote(name)}" if name else f"the {kind}"
