import dataclasses
import json

import pytest

import convert.manifest
from convert.manifest.baseline import BaselineRecord, SeriesRecord
from convert.manifest.decode import ManifestError
from convert.manifest.entries import LARGEST_MANIFEST
from convert.manifest.manifest import (
    FORMAT,
    ActivationRecord,
    CurveRecord,
    DeclinedRecord,
    FiredRecord,
    Manifest,
    OutputRecord,
    ParityRecord,
    SetRecord,
    TensorRecord,
)
from convert.manifest.records import (
    ChosenRecord,
    CoverageRecord,
    IntegersRecord,
    SpeedRecord,
    TrialRecord,
    TuningRecord,
)
from convert.manifest.size_bounds import SizeBounds

COVERAGE = CoverageRecord(
    reasons=("input `mask` moves no output",),
    weights=5,
    tried=4,
    unseen=("1.weight",),
    integers=(IntegersRecord("ids", 0, 2**63 - 1, 70),),
)
TUNING = TuningRecord(
    provider="cpu",
    threads=2,
    batches=(1, 16),
    processor="a CPU",
    seconds=60.0,
    spent=12.5,
    noise=0.01,
    trials=(
        TrialRecord("Elu", "image after Conv", 3, "kept", "elu_to_exp", 0.9, 0.88, 0.92, 9, taken=True),
        TrialRecord("Elu", "image after Conv", 3, "elu_as_sum", "kept", 1.1, 1.08, 1.12, 5, taken=False),
    ),
    chosen=(ChosenRecord("Elu", "elu_1", "features.1", "kept"),),
    speeds=(SpeedRecord(1, 100.0, 90.0, 0.9, 0.88, 0.92),),
    verdict="the chosen forms are faster",
)
MANIFEST = Manifest(
    format=FORMAT,
    source_digest="ab" * 32,
    versions={"torch": "2.13.0"},
    opset=20,
    precision="fp32",
    inputs=(TensorRecord("x", "float32", ("batch", 3)),),
    outputs=(TensorRecord("y", "float32", ("batch", 2)),),
    classes=("cat", "dog"),
    preprocessing={"mean": [0.5, 0.5], "resize": {"to": 224}},
    activations=(
        ActivationRecord(
            layer="1",
            kind="PELU",
            formula="a · ELU(x / b)",
            options={"side": "both"},
            values={"a": (1.5,), "b": (0.25,)},
            curve=CurveRecord((-1.0, 0.0, 1.0), (0,), ((-0.5, 0.0, 6.0),)),
        ),
    ),
    fired=(FiredRecord("elu_to_exp", 2),),
    declined=(DeclinedRecord("scale_into_next", "3", "read elsewhere too"),),
    parity=ParityRecord(
        criterion="c",
        outputs=(OutputRecord("y", 1.0, 1e-7, 2e-7, 9e-7, None, "large", {"0.5": 1e-8}),),
        sets=(SetRecord("large", 1, 0, 0, 0),),
    ),
)


def test_a_manifest_comes_back_from_its_json() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def _with_coverage(coverage: CoverageRecord | None) -> Manifest:
    return dataclasses.replace(MANIFEST, parity=dataclasses.replace(MANIFEST.parity, coverage=coverage))


@pytest.mark.parametrize(
    ("coverage", "strength"),
    [(COVERAGE, "weak"), (dataclasses.replace(COVERAGE, reasons=()), "strong"), (None, "unknown")],
)
def test_parity_is_weak_where_there_is_a_reason(coverage: CoverageRecord | None, strength: str) -> None:
    found = Manifest.from_json(_with_coverage(coverage).to_json())
    assert found.parity.coverage == coverage
    assert found.parity.strength == strength


def test_a_manifest_from_before_coverage_is_read() -> None:
    content = json.loads(_replace_field("format", "adaptact-manifest/1.2"))
    del content["parity"]["coverage"]
    assert Manifest.from_json(json.dumps(content)).parity.strength == "unknown"


def test_a_baseline_comes_back_from_json() -> None:
    numbers = SeriesRecord("input", "x", "", 2, 12, (0.0, 1.5), (), (3, 4, 5), -1.0, 2.0, 0.01)
    texts = SeriesRecord("output", "y", "", None, 12, (), ("a", "b"), (3, 4, 0), None, None, 0.0)
    manifest = dataclasses.replace(MANIFEST, baseline=BaselineRecord(12, (numbers, texts)))
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_manifest_from_before_baselines_is_read() -> None:
    content = json.loads(_replace_field("format", "adaptact-manifest/1.3"))
    del content["baseline"]
    assert Manifest.from_json(json.dumps(content)).baseline is None


def test_bounds_of_sizes_come_back_from_json() -> None:
    manifest = dataclasses.replace(
        MANIFEST, sizes=(SizeBounds("T", 2, 512, 2),), tried_sizes=({"batch": 2, "T": 514},)
    )
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_bounds_that_leave_no_size_are_refused() -> None:
    text = MANIFEST.to_json().replace('"sizes":[]', '"sizes":[{"name":"T","low":9,"high":3}]')
    with pytest.raises(ManifestError, match=r"bounds of sizes are none: size `9<=T<=3`"):
        Manifest.from_json(text)


def test_a_manifest_from_before_bounds_is_read() -> None:
    content = json.loads(MANIFEST.to_json())
    del content["sizes"], content["tried_sizes"]
    assert Manifest.from_json(json.dumps(content)) == MANIFEST


def test_tuning_comes_back_from_json() -> None:
    tuned = dataclasses.replace(MANIFEST, tuning=TUNING, provider="cuda")
    assert Manifest.from_json(tuned.to_json()) == tuned


def test_a_manifest_from_before_tuning_is_read() -> None:
    content = json.loads(_replace_field("format", "adaptact-manifest/1.1"))
    del content["tuning"], content["provider"]
    found = Manifest.from_json(json.dumps(content))
    assert (found.tuning, found.provider) == (None, "cpu")


def test_absent_fields_come_back_as_none() -> None:
    bare = dataclasses.replace(MANIFEST, classes=None, preprocessing=None)
    assert Manifest.from_json(bare.to_json()) == bare


def test_the_json_does_not_depend_on_the_order_of_keys() -> None:
    turned = dataclasses.replace(MANIFEST, versions=dict(reversed({"a": "1", "b": "2"}.items())))
    straight = dataclasses.replace(MANIFEST, versions={"a": "1", "b": "2"})
    assert turned.to_json() == straight.to_json()


def _replace_field(path: str, value: object) -> str:
    content = json.loads(MANIFEST.to_json())
    place = content
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("format", "adaptact-manifest/99", "format is `adaptact-manifest/99`, and this version"),
        ("opset", "20", "`manifest.opset` is `str`"),
        ("opset", True, "`manifest.opset` is `bool`"),
        ("opset", None, "`manifest.opset` is `NoneType`"),
        (
            "format",
            "adaptact-manifest/2.0",
            r"`adaptact-manifest/2.0`, and this .* reads `adaptact-manifest/1.x`",
        ),
        ("format", "other/1.1", "format is `other/1.1`, expected"),
        ("format", 1, "format is `1`, expected"),
        ("format", "adaptact-manifest/1.1/../2", "expected `adaptact-manifest/1"),
        ("inputs", {}, "`manifest.inputs` is `dict`"),
        ("inputs.0.shape", [[]], r"`manifest.inputs\[0\].shape\[0\]` is `list`"),
        ("inputs.0.name", 5, r"`manifest.inputs\[0\].name` is `int`"),
        ("classes", "cat", "`manifest.classes` is `str`"),
        ("classes", [1], r"`manifest.classes\[0\]` is `int`"),
        ("activations.0.values.a", ["1"], r"values.a\[0\]` is `str`"),
        ("parity.outputs.0.scale", 10**400, "scale` is `int`"),
        ("parity", [], "`manifest.parity` has list"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        Manifest.from_json(_replace_field(path, value))


def test_fields_of_a_newer_minor_version_are_ignored() -> None:
    newer = json.loads(_replace_field("format", "adaptact-manifest/1.99")) | {"extra": 1}
    newer["inputs"][0]["layout"] = "NCHW"
    assert Manifest.from_json(json.dumps(newer)) == dataclasses.replace(
        MANIFEST, format="adaptact-manifest/1.99"
    )


def test_a_manifest_of_the_first_version_is_read() -> None:
    """As written before the format counted minor versions: without all that has a default now."""
    first = json.loads(_replace_field("format", "adaptact-manifest/1"))
    for record, fields in (
        (first["activations"][0], ("replaced", "words", "start", "reach")),
        (first["parity"]["outputs"][0], ("original_quantiles", "typical_scale", "ratio", "top1")),
        (first["parity"]["sets"][0], ("non_finite_gained", "used")),
    ):
        for name in fields:
            del record[name]
    found = Manifest.from_json(json.dumps(first))
    assert found.parity.outputs[0].over_scale() == {}
    assert found.activations[0].reach is None
    assert found.parity.sets[0].used == {}


def test_a_required_field_is_missed() -> None:
    content = json.loads(MANIFEST.to_json())
    del content["opset"]
    with pytest.raises(ManifestError, match=r"`manifest` has .*, expected .*opset"):
        Manifest.from_json(json.dumps(content))


def test_errors_are_shown_as_shares_of_the_typical_scale() -> None:
    record = dataclasses.replace(MANIFEST.parity.outputs[0], quantiles={"1": 4e-7}, typical_scale=8.0)
    assert record.over_scale() == {"1": 5e-8}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "format is `None`"),
        ("null", "format is `None`"),
        ('{"format": NaN}', "holds `NaN`"),
        ('{"opset": Infinity}', "holds `Infinity`"),
        ("1" * 5000, "not JSON"),
        (" " * (LARGEST_MANIFEST + 1), "characters, expected at most"),
    ],
)
def test_hostile_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        Manifest.from_json(text)


def test_free_json_is_limited_in_depth() -> None:
    deep: object = 1
    for _ in range(50):
        deep = {"in": deep}
    with pytest.raises(ManifestError, match="nested deeper"):
        Manifest.from_json(_replace_field("preprocessing", {"deep": deep}))


def test_free_json_holds_finite_numbers_only() -> None:
    """What no manifest could be written of again."""
    content = json.loads(MANIFEST.to_json()) | {"preprocessing": {"mean": [0.8125]}}
    text = json.dumps(content).replace("0.8125", "1e999")
    with pytest.raises(ManifestError, match=r"preprocessing.mean` holds `inf`, expected a finite number"):
        Manifest.from_json(text)


def test_the_package_offers_the_manifest() -> None:
    assert convert.manifest.Manifest is Manifest
    with pytest.raises(AttributeError, match=r"`convert\.manifest` has no attribute `Absent`"):
        _ = convert.manifest.Absent
