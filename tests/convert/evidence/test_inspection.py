import dataclasses
from collections.abc import Callable

import pytest

from convert.evidence.inspection import require_consistent
from convert.manifest.decode import ManifestError
from convert.manifest.manifest import (
    ActivationRecord,
    AgreementRecord,
    Manifest,
    ReachRecord,
    StartRecord,
)
from convert.manifest.records import AccuracyRecord, RoundingRecord
from tests.convert.manifest.test_manifest import MANIFEST

ONE = MANIFEST.activations[0]
POINTS = ONE.curve.points


def _with(**changes: object) -> Manifest:
    one: ActivationRecord = dataclasses.replace(ONE, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(MANIFEST, activations=(one,))


def _agreed_on(samples: int) -> Manifest:
    top1 = AgreementRecord(samples, 0, 0, 0.0, 1.0)
    output = dataclasses.replace(MANIFEST.parity.outputs[0], top1=top1)
    return dataclasses.replace(MANIFEST, parity=dataclasses.replace(MANIFEST.parity, outputs=(output,)))


def _right_on(samples: int) -> Manifest:
    accuracy = AccuracyRecord("y", samples, 0, 0)
    rounding = RoundingRecord("static", "given", samples, None, 1.0, 0.0, 1.0, (), accuracy, (), 1)
    return dataclasses.replace(MANIFEST, rounding=rounding)


def _curve(**changes: object) -> Manifest:
    return _with(curve=dataclasses.replace(ONE.curve, **changes))  # type: ignore[arg-type]


def _start(curve: tuple[tuple[float, ...], ...], **values: tuple[float, ...]) -> Manifest:
    return _with(start=StartRecord("the fixed point", values, curve))


WRONG: dict[str, Callable[[], Manifest]] = {
    "a point less": lambda: _curve(points=POINTS[:-1]),
    "no points": lambda: _curve(points=(), values=((),)),
    "no curves": lambda: _curve(values=()),
    "ragged curves": lambda: _curve(values=(POINTS, POINTS[:-1])),
    "a short start": lambda: _start((POINTS[:-1],)),
    "a value of none": lambda: _with(values={"a": ()}),
    "a start of none": lambda: _start((POINTS,), a=()),
    "no bins": lambda: _with(reach=ReachRecord(1, -1.0, 1.0, (), 0.0)),
    "bins without width": lambda: _with(reach=ReachRecord(1, 1.0, 1.0, (1.0,), 0.0)),
    "agreement on nothing": lambda: _agreed_on(0),
    "accuracy on nothing": lambda: _right_on(0),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_manifest_that_does_not_fit_itself_is_refused(case: str) -> None:
    with pytest.raises(ManifestError, match="the manifest"):
        require_consistent(WRONG[case]())


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        _start((POINTS,), a=(1.0,)),
        _with(reach=ReachRecord(1, -1.0, 1.0, (1.0,), 0.0)),
        _agreed_on(1),
        _right_on(1),
    ],
)
def test_a_manifest_that_fits_itself_is_taken(manifest: Manifest) -> None:
    require_consistent(manifest)
