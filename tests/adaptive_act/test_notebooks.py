"""What notebooks show of activations, swaps, manifests and studies."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, PReLU, swap
from adaptive_act.study.results import Results
from benchmarks.study_figures import build
from tests.convert.manifest.test_manifest import MANIFEST

STUDY = Path(__file__).parents[2] / "docs" / "results" / "studies" / "diabetes-mlp" / "results.json"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_shows_its_curve(name: str) -> None:
    kind = ACTIVATIONS[name]
    text = kind(None if kind.elementwise else 2, 1)._repr_html_()
    assert text.count("<polyline") == (1 if kind.elementwise else 2)


def test_a_curve_that_is_not_finite_is_shown_as_far_as_it_goes() -> None:
    activation = PReLU()
    with torch.no_grad():
        activation.get_parameter("a").fill_(torch.nan)
    assert "nan," not in activation._repr_html_()


def test_a_swap_a_manifest_and_a_study_show_a_table() -> None:
    report = swap(nn.Sequential(nn.ReLU()), {nn.ReLU: PReLU}).report
    results: Any = build(Results, json.loads(STUDY.read_text(encoding="utf-8")))
    shown = [each._repr_html_() for each in (report, MANIFEST, results)]
    for text, word in zip(shown, ("ReLU()", MANIFEST.source_digest, "no difference shown"), strict=True):
        assert word in text
        assert "<table>" in text
