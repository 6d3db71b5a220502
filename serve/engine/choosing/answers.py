"""Whether another provider's answers are those of the CPU provider, by the criterion of the file's manifest.

The manifest says by how much the original model's own float32 answers were off, and at what scale. Another
provider may be off from the CPU provider's answers by as much as parity allows a file to be off:

    4 · (the original's own float32 error) + 4 · eps · (the output's scale)

A file of fewer bits may be off, as a root mean square, by what rounding it has cost. Without a manifest the
answers may differ by UNKNOWN of the scale. NaN, infinities, whole numbers, truth values and texts have to be
the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from adaptact.languages.catalogue import mark
from serve.engine.manifest import Json
from serve.engine.signature import Array

FACTOR, FLOOR = 4.0, 4.0
UNKNOWN = 1e-5


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much an output may differ, as a share of its scale."""

    share: float
    scale: float = 0.0
    """The least scale: that of typical samples; the answers' own where that is larger."""
    of_mean: bool = False
    """Whether it is the root mean square that may differ so, not the largest difference."""


def read_tolerances(manifest: Mapping[str, Json] | None) -> dict[str, Tolerance]:
    """What the manifest allows each output, by its name in the file; none for one that it does not know."""
    rounding = _read_object(manifest, "rounding")
    losses = rounding.get("losses")
    if isinstance(losses, list):
        pairs = [(entry.get("output"), entry.get("typical")) for entry in losses if isinstance(entry, dict)]
        return {
            name: Tolerance(share, of_mean=True)
            for name, share in pairs
            if isinstance(name, str) and _is_number(share)
        }
    outputs = _read_object(manifest, "parity").get("outputs")
    tolerances = {}
    for entry in outputs if isinstance(outputs, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            tolerances[str(entry["name"])] = _read_tolerance(entry)
    return tolerances


def _read_tolerance(entry: Mapping[str, Json]) -> Tolerance:
    eps = float(np.finfo(np.float32).eps)
    scale, extra = entry.get("typical_scale"), entry.get("tolerance")
    error = _read_object(entry, "original_quantiles").get("1.0")
    if not (_is_number(scale) and scale) or not _is_number(error):
        return Tolerance(UNKNOWN)  # a file from before they were written down
    share = FACTOR * error / scale + FLOOR * eps
    return Tolerance(share + (extra if _is_number(extra) else 0.0), scale)


def find_difference(
    names: Sequence[str],
    expected: Sequence[Array],
    got: Sequence[Array],
    tolerances: Mapping[str, Tolerance],
) -> str:
    """What differs by more than is allowed, in words; empty where nothing does."""
    for name, answer, other in zip(names, expected, got, strict=True):
        if answer.shape != other.shape or answer.dtype != other.dtype:
            return mark("output `{name}` has another shape or type").format(name=name)
        difference = _compare(answer, other, tolerances.get(name, Tolerance(UNKNOWN)))
        if difference:
            return mark("output `{name}`: {difference}").format(name=name, difference=difference)
    return ""


def _compare(answer: Array, other: Array, tolerance: Tolerance) -> str:
    if not np.issubdtype(answer.dtype, np.floating):
        return "" if np.array_equal(answer, other) else mark("whole numbers, truth values or texts differ")
    wide, also = answer.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(wide)
    if (
        not np.array_equal(wide[~finite], also[~finite], equal_nan=True)
        or not np.isfinite(also[finite]).all()
    ):
        return mark("NaN or infinities stand elsewhere")
    if not finite.any():
        return ""
    errors = np.abs(wide[finite] - also[finite])
    scale = max(tolerance.scale, float(np.abs(wide[finite]).max()))
    error = float(np.sqrt(np.mean(errors**2))) if tolerance.of_mean else float(errors.max())
    allowed = max(tolerance.share, _eps(answer)) * scale
    if error <= allowed:
        return ""
    return mark("it differs by {error}, and the criterion allows {allowed}").format(
        error=f"{error:.2g}", allowed=f"{allowed:.2g}"
    )


def _eps(answer: Array) -> float:
    """What numbers of two bytes differ by from their neighbours, times FLOOR; 0 for wider ones."""
    return FLOOR * float(np.finfo(np.float16).eps) if answer.dtype == np.float16 else 0.0


def explain_silence(answers: Sequence[Sequence[Array]]) -> str:
    """Why answers to several inputs do not show whether a provider computes the same; empty if they do."""
    first, *others = answers
    floats = [array for array in first if np.issubdtype(array.dtype, np.floating)]
    if floats and not any(np.isfinite(array.astype(np.float64)).any() for array in floats):
        return mark("its answers to random inputs are not finite")
    is_moved = any(
        not _are_equal(array, other) for answer in others for array, other in zip(first, answer, strict=True)
    )
    return "" if is_moved else mark("its answers are the same for all random inputs")


def are_same(first: Sequence[Array], second: Sequence[Array]) -> bool:
    """Whether both are the same bit for bit, any NaN being NaN."""
    return all(map(_are_equal, first, second))


def _are_equal(first: Array, second: Array) -> bool:
    if first.shape != second.shape:
        return False
    if np.issubdtype(first.dtype, np.floating):
        return bool(np.array_equal(first, second, equal_nan=True))
    return bool(np.array_equal(first, second))


def _read_object(content: Mapping[str, Json] | None, key: str) -> Mapping[str, Json]:
    value = (content or {}).get(key)
    return value if isinstance(value, dict) else {}


def _is_number(value: Json) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
