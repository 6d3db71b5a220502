"""The syntax of names in a study: `Name` or `Name(option=value, ...)`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

Value = bool | int | float | str

_NAMED = re.compile(r"([A-Za-z_][\w.-]*)\s*(?:\(([^()]*)\))?")
_OPTION = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*([\w.+-]+)\s*")


@dataclass(frozen=True, slots=True)
class NamedOptions:
    """A name with its options, such as `NEAAF(side=both, gamma=0.05)`; equal texts give equal values."""

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name and options in `text`; raises ValueError where it is written any other way."""
        match = _NAMED.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"expected `Name` or `Name(option=value, ...)`, got `{text}`")
        parts = [part for part in (match[2] or "").split(",") if part.strip()]
        return cls(match[1], dict(_parse_option(part, text) for part in parts))

    def __str__(self) -> str:
        if not self.options:
            return self.name
        options = ", ".join(f"{key}={_format_value(value)}" for key, value in self.options.items())
        return f"{self.name}({options})"


def split_list(text: str) -> list[str]:
    """The entries of a list separated by commas, of which those inside parentheses do not count."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _parse_option(part: str, text: str) -> tuple[str, Value]:
    match = _OPTION.fullmatch(part)
    if match is None:
        raise ValueError(f"expected `option=value` in `{text}`, got `{part.strip()}`")
    return match[1], _parse_value(match[2])


def _parse_value(word: str) -> Value:
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _format_value(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
