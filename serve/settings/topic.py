"""What the settings of one topic have in common."""

from typing import ClassVar

from pydantic import BaseModel


class Topic(BaseModel):
    """Settings that belong together: a field each, with its type, bounds, meaning and default."""

    panel: ClassVar[str]
    """Their heading in `adaptact serve --help`."""
