"""Reading a server's JSON: each field by name and type, with an error that says which one is wrong."""

import json
from collections.abc import Iterator
from typing import Never, TypeAlias

from serve.client.errors import InvalidReplyError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class Fields:
    """A JSON object of a reply, whose fields are asked for by type; all raise `InvalidReplyError`."""

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        self._fields = value
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str | None = None) -> str:
        """A string; the default, where there is one and the field is missing or null."""
        value = self._fields.get(name)
        value = default if value is None else value
        return value if isinstance(value, str) else self._refuse(name, "a string")

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number, not below -1; the default, where there is one and the field is missing or null."""
        value = self._fields.get(name)
        value = default if value is None else value
        return value if type(value) is int and value >= -1 else self._refuse(name, "a whole number")

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, none below -1."""
        found = self._list(name)
        numbers = tuple(each for each in found if type(each) is int and each >= -1)
        return numbers if len(numbers) == len(found) else self._refuse(name, "a list of whole numbers")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where it is missing or null."""
        found = [] if self._fields.get(name) is None else self._list(name)
        texts = tuple(each for each in found if isinstance(each, str))
        return texts if len(texts) == len(found) else self._refuse(name, "a list of strings")

    def values(self, name: str) -> list[Json]:
        """A list of anything."""
        return self._list(name)

    def object(self, name: str) -> "Fields":
        """An object; empty where it is missing or null."""
        value = self._fields.get(name)
        return Fields({} if value is None else value, f"{self._where}.{name}")

    def objects(self, name: str) -> Iterator["Fields"]:
        """A list of objects; empty where it is missing or null."""
        found = [] if self._fields.get(name) is None else self._list(name)
        return (Fields(each, f"{self._where}.{name}[{place}]") for place, each in enumerate(found))

    def plain(self) -> dict[str, Json]:
        """All fields."""
        return self._fields

    def _list(self, name: str) -> list[Json]:
        value = self._fields.get(name)
        return value if isinstance(value, list) else self._refuse(name, "a list")

    def _refuse(self, name: str, expected: str) -> Never:
        raise _wrong(f"{self._where}.{name}", expected, self._fields.get(name))


def parse(body: bytes | bytearray | memoryview) -> Json:
    """The JSON value; raises `InvalidReplyError`."""
    try:
        value: Json = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise InvalidReplyError(
            f"the reply is not JSON ({error}); it begins with {bytes(body[:80])!r}"
        ) from error
    return value


def _wrong(where: str, expected: str, got: Json) -> InvalidReplyError:
    return InvalidReplyError(f"`{where}` is not {expected}, got `{repr(got)[:80]}`")
