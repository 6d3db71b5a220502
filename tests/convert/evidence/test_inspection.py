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


def _change_manifest(**changes: object) -> Manifest:
    record: ActivationRecord = dataclasses.replace(ONE, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(MANIFEST, activations=(record,))


def _make_agreement_manifest(samples: int) -> Manifest:
    top1 = AgreementRecord(samples, 0, 0, 0.0, 1.0)
    output = dataclasses.replace(MANIFEST.parity.outputs[0], top1=top1)
    return dataclasses.replace(MANIFEST, parity=dataclasses.replace(MANIFEST.parity, outputs=(output,)))


def _make_accuracy_manifest(samples: int) -> Manifest:
    accuracy = AccuracyRecord("y", samples, 0, 0)
    rounding = RoundingRecord("static", "given", samples, None, 1.0, 0.0, 1.0, (), accuracy, (), 1)
    return dataclasses.replace(MANIFEST, rounding=rounding)


def _change_curve(**changes: object) -> Manifest:
    return _change_manifest(curve=dataclasses.replace(ONE.curve, **changes))  # type: ignore[arg-type]


def _change_start(curve: tuple[tuple[float, ...], ...], **values: tuple[float, ...]) -> Manifest:
    return _change_manifest(start=StartRecord("the fixed point", values, curve))


WRONG: dict[str, Callable[[], Manifest]] = {
    "a point less": lambda: _change_curve(points=POINTS[:-1]),
    "no points": lambda: _change_curve(points=(), values=((),)),
    "no curves": lambda: _change_curve(values=()),
    "ragged curves": lambda: _change_curve(values=(POINTS, POINTS[:-1])),
    "a short start": lambda: _change_start((POINTS[:-1],)),
    "a value of none": lambda: _change_manifest(values={"a": ()}),
    "a start of none": lambda: _change_start((POINTS,), a=()),
    "no bins": lambda: _change_manifest(reach=ReachRecord(1, -1.0, 1.0, (), 0.0)),
    "bins without width": lambda: _change_manifest(reach=ReachRecord(1, 1.0, 1.0, (1.0,), 0.0)),
    "agreement on nothing": lambda: _make_agreement_manifest(0),
    "accuracy on nothing": lambda: _make_accuracy_manifest(0),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_manifest_that_does_not_fit_itself_is_refused(case: str) -> None:
    with pytest.raises(ManifestError, match="the manifest"):
        require_consistent(WRONG[case]())


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        _change_start((POINTS,), a=(1.0,)),
        _change_manifest(reach=ReachRecord(1, -1.0, 1.0, (1.0,), 0.0)),
        _make_agreement_manifest(1),
        _make_accuracy_manifest(1),
    ],
)
def test_a_manifest_that_fits_itself_is_taken(manifest: Manifest) -> None:
    require_consistent(manifest)
