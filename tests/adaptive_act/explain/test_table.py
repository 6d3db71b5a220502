"""Rows and records."""

import json

import pytest
from torch import nn

from adaptive_act import ACTIVATIONS, Activation, PReLU
from adaptive_act.explain import decide, layers, reach
from adaptive_act.explain.table import (
    decision_header,
    decision_rows,
    decisions_record,
    layer_header,
    layer_record,
    layer_row,
)
from tests.adaptive_act.explain.models import batches, learned


def test_a_layers_row() -> None:
    model = learned()
    row = dict(zip(layer_header(), layer_row(layers(model)[0]), strict=True))
    a = model.get_parameter("1.a").item()
    assert row["learned values"] == f"a = {a:.3g}"
    assert (row["layer"], row["kind"], row["replaced"], row["channels"]) == ("1", "PReLU", "ReLU()", "shared")
    assert (row["start"], row["slope at 0−"], row["slope at 0+"]) == ("a = 0", f"{a:.2f}", "1.00")
    assert row["moved"] == f"{a:.2g} ({100 * a:.0f} %)"  # both means are 1 on [-4, 4]


def test_a_row_names_all_the_layers_that_share_it() -> None:
    shared = PReLU()
    row = dict(zip(layer_header(), layer_row(layers(nn.Sequential(shared, shared))[0]), strict=True))
    assert (row["layer"], row["replaced"], row["moved"]) == ("0 = 1", "–", "0")


def test_decisions_have_a_row_for_each_layer_and_for_all() -> None:
    rows = decision_rows(decide(learned(), batches()))
    assert [row[0] for row in rows] == ["1", "3", "all layers"]
    assert {len(row) for row in rows} == {len(decision_header())}


@pytest.mark.parametrize("kind", ACTIVATIONS.values())
def test_every_activation_has_a_row_and_a_record(kind: type[Activation]) -> None:
    (layer,) = layers(nn.Sequential(kind(channels=4)))
    assert len(layer_row(layer)) == len(layer_header())
    assert json.loads(json.dumps(layer_record(layer), allow_nan=False))["kind"] == kind.__name__


def test_the_records_hold_the_numbers() -> None:
    model = learned(per_channel=True)
    layer = layers(model, reach(model, [x for x, _ in batches()]))[0]
    record = layer_record(layer)
    assert record["values"]["a"] == pytest.approx(model.get_parameter("1.a").tolist(), rel=1e-6)
    assert record["slopes_at_zero"][0] == pytest.approx(record["values"]["a"], abs=1e-6)
    assert record["reach"]["total"] == 120 * 8
    decided = decisions_record(decide(model, batches()))
    assert [row["layer"] for row in decided["put_back"]] == ["1", "3", "all layers"]
    assert set(decided["put_back"][0]["by_class"]) == {"0", "1", "2"}
