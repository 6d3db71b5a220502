"""The placement of a written model's weights: in the file, or beside it."""

from typing import Literal

Placement = Literal["auto", "always", "never"]
"""Beside the file if they are too large for it, always unless they are small, or never."""
