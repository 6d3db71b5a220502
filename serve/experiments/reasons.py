"""Why experiments change by themselves, as the audit trail says it, and reports in any language know it."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Cause: TypeAlias = Literal["harm", "split", "better", "held", "file", "changed"]

REASONS: Mapping[Cause, str] = {
    "harm": "a guardrail: {harms}",
    "split": "the split is not valid: the shares of units differ from those assigned",
    "better": "the verdict is `better`",
    "held": "the step has lasted as long as it should, without a sign of harm",
    "changed": "it cannot go on: {change}",
    "file": "definition {digest} of `{file}`",
}
FILE = "the file of experiments"
"""Who defines where a file does."""
_HARM = re.compile(r"`(\w+)` of `([^`]*)`")


def name_harms(harms: Iterable[tuple[str, str]]) -> str:
    """The kinds of guardrails and the candidates, each once."""
    return ", ".join(dict.fromkeys(f"`{kind}` of `{candidate}`" for kind, candidate in harms))


def read_harms(text: str) -> list[tuple[str, str]]:
    """What `name_harms` wrote."""
    return _HARM.findall(text)


def recognise(reason: str) -> tuple[Cause, dict[str, str]] | None:
    """Which of the reasons a text is, with what stands in its places; None for what a person wrote."""
    for cause, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(reason):
            return cause, found.groupdict()
    return None


def _compile(text: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(text)))


_PATTERNS = {cause: _compile(text) for cause, text in REASONS.items()}
