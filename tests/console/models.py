"""Models whose pages have everything on them, and names that would harm a page which took them for markup."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from convert.manifest.baseline import BaselineRecord, SeriesRecord
from convert.manifest.manifest import (
    FORMAT,
    ActivationRecord,
    CurveRecord,
    DeclinedRecord,
    DroppedRecord,
    FiredRecord,
    Manifest,
    OutputRecord,
    ParityRecord,
    ReachRecord,
    SetRecord,
    StartRecord,
    TensorRecord,
)
from convert.manifest.records import (
    AccuracyRecord,
    CoverageRecord,
    KeptRecord,
    LossRecord,
    RoundingRecord,
    SpeedRecord,
    TrialRecord,
    TuningRecord,
)
from tests.serve.models import put, table_model, with_manifest

HOSTILE = (
    "<img src=x onerror=\"document.title='harmed'\">",
    "'\"`${1+1}</script><script>document.title='harmed'</script>",
    "\u202emodnar\u202c شبكة",
    "w" * 10_000,
)
SHOWN = (*HOSTILE[:2], "\ufffdmodnar\ufffd \u2068شبكة\u2069", HOSTILE[3])
"""As people see them: what turns letters around is visible, and what is read from the right is set apart."""
POINTS = tuple(step / 10 - 4 for step in range(81))


def describe(layer: str = "features.1", classes: tuple[str, ...] = ("cat", "dog", "bird")) -> Manifest:
    """A manifest that has every part: two learned activations, tuning, rounding, declined rules."""
    channels = tuple(range(3))
    curves = tuple(
        tuple(max(0.0, x) + (0.1 + 0.2 * channel) * min(0.0, x) for x in POINTS) for channel in channels
    )
    relu = tuple(max(0.0, x) for x in POINTS)
    activation = ActivationRecord(
        layer=layer,
        kind="PReLU",
        formula="max(0, x) + a · min(0, x)",
        options={"channels": 3},
        values={"a": (0.1, 0.3, 0.5)},
        curve=CurveRecord(POINTS, channels, curves),
        replaced="ReLU()",
        words="Below 0 it passes inputs with a slope.",
        start=StartRecord("the fixed point at ReLU()", {"a": (0.0, 0.0, 0.0)}, (relu, relu, relu)),
        reach=ReachRecord(4096, -6.0, 6.0, (0.05, 0.1, 0.35, 0.35, 0.1, 0.05), 0.5, -7.25, 6.5),
    )
    shared = dataclasses.replace(
        activation,
        layer=f"{layer}.shared",
        values={"a": (0.25,)},
        curve=CurveRecord(POINTS, (0,), curves[1:2]),
        start=StartRecord("the fixed point at ReLU()", {"a": (0.0,)}, (relu,)),
    )
    return Manifest(
        format=FORMAT,
        source_digest="ab" * 32,
        versions={"adaptact": "0.1.0", "torch": "2.13.0"},
        opset=20,
        precision="int8",
        inputs=(TensorRecord("x", "float32", ("batch", 4)),),
        outputs=(TensorRecord("scores", "float32", ("batch", 3)),),
        classes=classes,
        preprocessing=None,
        activations=(activation, shared),
        fired=(FiredRecord("prelu_to_leakyrelu", 2),),
        declined=(DeclinedRecord("scale_into_next", layer, "its output is read elsewhere too"),),
        parity=ParityRecord(
            "|file - float64| <= 4 * |float32 - float64|",
            (OutputRecord("scores", 1.0, 1e-7, 2e-7, 9e-7, None, "large", {"0.5": 1e-8}),),
            (SetRecord("large", 1, 0, 0, 0, 0, {"scores": 0.22}),),
            CoverageRecord(("input `mask` moves no output",), 5, 4, ("1.weight",), ()),
        ),
        source_kind="checkpoint",
        dropped=(DroppedRecord("sum_of_scales", "output `scores` was off by 1e-3"),),
        tuning=_TUNING,
        rounding=_ROUNDING,
        baseline=BaselineRecord(512, (_SERIES,)),
    )


_SERIES = SeriesRecord(
    role="input",
    tensor="x",
    layer="",
    column=None,
    rows=512,
    edges=(-1.0, 0.0, 1.0),
    categories=(),
    counts=(512, 512, 512, 512),
    low=-2.0,
    high=2.0,
    outside=0.01,
)
_TUNING = TuningRecord(
    provider="cpu",
    threads=2,
    batches=(1, 16),
    processor="a CPU",
    seconds=60.0,
    spent=12.5,
    noise=0.01,
    trials=(TrialRecord("PReLU", "image after Conv", 3, "kept", "leaky", 0.9, 0.88, 0.92, 9, taken=True),),
    chosen=(),
    speeds=(SpeedRecord(1, 100.0, 90.0, 0.9, 0.88, 0.92),),
    verdict="the chosen forms are faster",
)
_ROUNDING = RoundingRecord(
    method="static",
    judged_on="given",
    samples=512,
    calibration_samples=128,
    max_error=0.05,
    min_agreement=0.99,
    max_accuracy_drop=0.003,
    losses=(LossRecord("scores", 1.0, 0.02, 0.004, 510, 512, 0.986, 0.999),),
    accuracy=AccuracyRecord("scores", 512, 500, 499),
    kept=(KeptRecord("head", "Gemm", "a third of the squared error"),),
    places=7,
)


def scores_model(input_name: str = "x") -> onnx.ModelProto:
    """Four numbers a row to three scores: the first three."""
    ends = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("first", 0), ("last", 3), ("axis", 1))
    ]
    graph = helper.make_graph(
        [helper.make_node("Slice", [input_name, "first", "last", "axis"], ["scores"])],
        "scores",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        ends,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def image_model() -> onnx.ModelProto:
    """An image of 2 by 2 pixels in RGB to the mean of each colour."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["y"]),
        ],
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_models(folder: Path) -> None:
    """Models with all evidence, with hostile names, of images, of a table, and one that cannot load."""
    evident: Any = json.loads(describe().to_json())
    put(folder, "scores", with_manifest(scores_model(), evident))
    put(folder, "scores", with_manifest(scores_model(), evident), "2")
    put(folder, "spare", scores_model())
    put(folder, "broken", b"no model")
    put(folder, "table", table_model())
    hostile = describe(HOSTILE[0], HOSTILE[:3])
    put(folder, "w" * 100, with_manifest(scores_model(HOSTILE[0]), json.loads(hostile.to_json())))
    long = describe(HOSTILE[3], (HOSTILE[3][:500], HOSTILE[1], HOSTILE[2]))
    put(folder, "long", with_manifest(scores_model(), json.loads(long.to_json())))
    put(
        folder,
        "odd",
        with_manifest(scores_model(), {"activations": [{"layer": 5}], "parity": 7, "fired": {}}),
    )
    put(folder, "colours", image_model())
    (folder / "colours" / "config.toml").write_text(
        'classes = ["red", "green", "blue"]\n[preprocessing]\nresize = [2, 2]\ncolor = "RGB"\n'
    )
