"""The look that the console and every report share, as style sheets."""

from importlib import resources
from typing import Literal


def read_style(name: Literal["tokens", "report"]) -> str:
    """The style sheet as text."""
    return resources.files(__package__).joinpath(f"{name}.css").read_text(encoding="utf-8")


SERIES = ("#0072b2", "#d55e00", "#185418", "#a860fc", "#b48460", "#2430b4", "#1b1f24")
"""The colours of the series on a light ground, for what is drawn without a style sheet."""
