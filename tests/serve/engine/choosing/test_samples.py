from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine.choosing.samples import STRANGE, find_unmade, make_inputs, make_strange
from tests.serve import models
from tests.serve.engine.loading import load_session

MIXED = """mixed (float[N, 3] x, int64[N, T] ids, bool[N] mask) => (float[N, 3] a, int64[N, T] b, bool[N] c) {
    a = Identity(x)
    b = Identity(ids)
    c = Identity(mask)
}"""


def test_numbers_are_drawn_as_the_manifest_describes_them(tmp_path: Path) -> None:
    signature = load_session(models.put(tmp_path, "m", models.model(MIXED))).signature
    series = [{"role": "input", "tensor": "x", "low": low, "high": low + 1} for low in (5.0, 8.0)]
    manifest: dict[str, Any] = {"baseline": {"series": series}, "inputs": [{"name": "ids", "below": 7}]}
    made = make_inputs(signature, manifest, 4, 16, 0)
    signature.check_inputs(made)
    assert made["x"].shape == (4, 3)
    assert made["ids"].shape == (4, 16)
    assert 5 <= made["x"].min() <= made["x"].max() <= 9
    assert set(made["ids"].flat) == set(range(7))
    assert set(made["mask"]) <= {True, False}


def test_without_a_manifest_they_are_small(tmp_path: Path) -> None:
    signature = load_session(models.put(tmp_path, "m", models.model(MIXED))).signature
    made = make_inputs(signature, None, 2, 8, 0)
    assert set(made["ids"].flat) == {0, 1}
    assert np.abs(made["x"]).max() < 6


def test_a_number_without_a_place_is_tried(tmp_path: Path) -> None:
    signature = load_session(models.put(tmp_path, "m", models.model(MIXED))).signature
    strange = list(make_strange(make_inputs(signature, None, 1, 8, 0)))
    assert {int(inputs["ids"].max()) for inputs in strange} == set(STRANGE)


@pytest.mark.parametrize(("kind", "named"), [("BYTES", "texts"), ("BF16", "bfloat16"), ("FP32", "")])
def test_what_cannot_be_made_up_is_named(tmp_path: Path, kind: str, named: str) -> None:
    signature = load_session(models.put(tmp_path, "m", models.identity_model(kind))).signature
    assert (named in find_unmade(signature)) if named else (find_unmade(signature) == "")


def test_no_sample_fills_the_memory(tmp_path: Path) -> None:
    wide = "wide (float[N, A, B, C] x) => (float[N, A, B, C] y) { y = Identity(x) }"
    signature = load_session(models.put(tmp_path, "m", models.model(wide))).signature
    with pytest.raises(ValueError, match="too large"):
        make_inputs(signature, None, 1, 2**10, 0)
