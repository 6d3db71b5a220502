"""What is known of a source and its copy: a file in the copy, for whoever serves it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from adaptact.files import read_plain_text, replace_file
from serve.sources.copy import OWN

STATUS = "status.json"
LONGEST_REASON = 200
"""Characters; the log has all of it."""
LARGEST = 32 * 2**20
"""Above what refusals of every file that a source may have take."""


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """A part that was not taken."""

    reason: str
    stamp: str = ""
    """Of its files: others are tried at once."""
    tries: int = 1
    again: float = 0.0
    """When the same files are tried again, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The source as it was last asked; times in seconds since 1970, 0 for never."""

    url: str = ""
    is_up: bool = False
    """Whether it answered, and could be read."""
    error: str = ""
    """Why not."""
    checked: float = 0.0
    """When it was last asked."""
    succeeded: float = 0.0
    """When it last answered."""
    interval_seconds: float = 60.0
    bytes: int = 0
    """How many it has sent in all."""
    refusals: dict[str, RefusedPart] = field(default_factory=dict)
    """By the part's folder."""


def read_status(folder: Path) -> SourceStatus:
    """The copy's status; an empty one if there is none that can be read."""
    try:
        content = json.loads(read_plain_text(folder / OWN / STATUS, LARGEST))
        refusals = {name: RefusedPart(**fields) for name, fields in content.pop("refusals").items()}
        return SourceStatus(**content, refusals=refusals)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return SourceStatus()


def write_status(folder: Path, status: SourceStatus) -> None:
    """The copy has this status; raises `OSError`."""
    with replace_file(folder / OWN / STATUS) as temporary:
        text = json.dumps(asdict(status), ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # as JSON has it
