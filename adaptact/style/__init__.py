"""The look that the console and every report share, as style sheets."""

from importlib import resources
from typing import Literal


def read_style(name: Literal["tokens", "report"]) -> str:
    """The style sheet as text."""
    return resources.files(__package__).joinpath(f"{name}.css").read_text(encoding="utf-8")
