"""What a way of rounding offers: a graph, rounded everywhere but where it is kept in float."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import onnx_ir as ir

from convert.precision.sites import Site

Ranges = Mapping[str, tuple[float, float]]
"""The least and largest number that each value of a graph took, by its name."""


class Scheme(Protocol):
    """One way of rounding one graph."""

    @property
    def sites(self) -> Sequence[Site]:
        """Where it rounds."""

    def rounds(self, kept: Collection[Site]) -> bool:
        """Whether anything is rounded at all with these sites in float."""

    def rounded(self, kept: Collection[Site]) -> ir.Model:
        """The rounded graph, with these sites in float; inputs and outputs are those of the float graph."""
