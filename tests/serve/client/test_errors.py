import pytest

from serve.client import errors
from serve.client.errors import KINDS, ClientError, make_error, parse_retry_after


@pytest.mark.parametrize("status", KINDS)
def test_a_status_of_the_table_is_its_error(status: int) -> None:
    error = make_error(status, "why", None)
    assert type(error) is KINDS[status]
    assert (str(error), error.status) == ("why", status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(418, errors.InvalidReplyError), (500, errors.ServerFailedError), (599, errors.ServerFailedError)],
)
def test_any_other_status_is_an_error_too(status: int, kind: type[ClientError]) -> None:
    assert type(make_error(status, "", None)) is kind


def test_an_unavailable_server_that_names_a_time_is_overloaded() -> None:
    assert type(make_error(503, "", 1.0)) is errors.OverloadedError


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 12 ", 12),
        ("9" * 400, 999_999_999),
        ("-1", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=40.0) == seconds


def test_every_error_stands_in_the_tree_of_the_docstring() -> None:
    kinds = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ClientError)
    ]
    assert [kind.__name__ for kind in kinds if kind.__name__ not in str(errors.__doc__)] == []
