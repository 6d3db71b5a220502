"""How often the file gives a sample the class that the original gives it in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert.model_io.array import Array
from convert.parity.criterion import Run


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `samples` rows of scores, those with the largest in the same place as in float64."""

    samples: int
    agreed: int
    original_agreed: int
    """The original float32 model's own."""


def count_top1(runs: Sequence[Run], output: str) -> Agreement | None:
    """The agreement on typical samples; None unless the output is rows [samples, classes] of real numbers."""
    rows = [
        (run.reference[output], run.originals[0][output], run.file[output]) for run in runs if run.typical
    ]
    if not rows or not all(_are_scores(reference, file) for reference, _, file in rows):
        return None
    reference, original, file = (np.concatenate(part) for part in zip(*rows, strict=True))
    known = ~np.isnan(reference).any(1)  # an infinity is what a mask gives
    places = reference.argmax(1)
    return Agreement(
        samples=int(known.sum()),
        agreed=int((known & (file.argmax(1) == places)).sum()),
        original_agreed=int((known & (original.argmax(1) == places)).sum()),
    )


def _are_scores(reference: Array, file: Array) -> bool:
    return (
        reference.ndim == 2
        and reference.shape[1] > 1
        and reference.dtype.kind == "f"
        and file.shape == reference.shape
    )
