import pytest

from adaptact.errors import AdaptactError, OutputError, UsageError


@pytest.mark.parametrize("kind", [AdaptactError, OutputError, UsageError])
def test_an_error_fits_on_a_terminal(kind: type[AdaptactError]) -> None:
    error = kind("\x1b[2J" * 1000, hint="\x07")
    assert str(error).isprintable()
    assert len(str(error)) < 2100
    assert error.hint == "\N{REPLACEMENT CHARACTER}"


def test_a_hint_may_be_missing() -> None:
    assert AdaptactError("why").hint is None
