"""Where the weights of a written model may lie: in the file, or beside it."""

from typing import Literal

Placement = Literal["auto", "always", "never"]
"""Beside the file where they are too large for it, whenever they are not small, or never."""
