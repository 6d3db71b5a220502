"""Messages of errors and reasons are found where they are made."""

from pathlib import Path

from tools.reasons import read_reasons

MODULE = '''
"""Of a module."""
ENDING = "the server is about to end"
HINTS = {"a": "write it out in words"}

def fail(name, count):
    hint = f"; did you mean {quote(name)}?" if name else ""
    raise InvalidInputError(f"model {quote(name)} has `{count}` of {len(count)} rows, {self._limit}{hint}")

def end():
    raise DrainingError(ENDING)

def decline(dtype):
    return Declined(describe(dtype), HINTS[dtype])

def describe(dtype):
    if dtype:
        return f"a scale leaves the range of {dtype}"
    return "word"

def ignore(text):
    log.info("nobody is told this")
    raise ValueError("nor this one")
    raise InvalidInputError(text, headers="not this as well")

class OwnError(Exception):
    def __init__(self, name):
        super().__init__(f'expected {{"a": {name}}}, got {name.size} others and {other.size} more')
'''


def test_reasons_are_followed_to_where_they_are_made(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(MODULE)
    assert set(read_reasons(module)) == {
        "model {name} has `{count}` of {count2} rows, {limit}{hint}",
        "did you mean {name}?",
        "the server is about to end",
        "a scale leaves the range of {dtype}",
        "write it out in words",
        'expected {{"a": {name}}}, got {size} others and {size2} more',
    }
