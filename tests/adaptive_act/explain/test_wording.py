"""What is said of known curves."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptact.languages.recorded import retell
from adaptact.languages.spoken import speak
from adaptive_act import ACTIVATIONS, PELU, Activation, PReLU, Swish, swap
from adaptive_act.explain.layers import layers
from adaptive_act.explain.reach import reach
from adaptive_act.explain.wording import explain_layer, format_percent, format_range, format_share

SAID: list[tuple[Activation, str]] = [
    (PReLU(a=0.08), "below 0 it passes inputs with slope 0.08; above 0 it passes inputs unchanged;"),
    (PReLU(a=0.08), "; it never falls."),
    (PReLU(a=0.0), "below 0 it lets nothing pass;"),
    (PReLU(a=-0.1), "below 0 it passes inputs with slope −0.1 (it bends upwards);"),
    (PELU(a=2.0, b=2.0), "below 0 it levels off at −2; above 0 it passes inputs unchanged"),
    (PELU(a=1.0, b=2.0), "above 0 it passes inputs with slope 0.5;"),
    (Swish(), "below 0 it levels off at 0 after a dip to −0.28 at x = −1.28;"),
    (Swish(), "above 0 it bends from slope 0.5 at 0 to slope 1 at the end; it falls somewhere."),
    (Swish(beta=-1.0), "above 0 it levels off at 0 after a bump to 0.28 at x = 1.28;"),
    (
        PReLU(4, a=[0.0, 0.2, -0.3, 0.5]),
        "below 0 it passes inputs with slope −0.3 to 0.5 in 3 of 4 channels, lets nothing pass in 1 of 4 "
        "channels (1 of 4 channels bend upwards); above 0 it passes inputs unchanged; 1 of 4 channels fall",
    ),
    (PReLU(), "It stands at its initial values, where it started."),
]


def said(activation: Activation, x: Tensor | None = None) -> str:
    model = nn.Sequential(activation)
    (layer,) = layers(model, None if x is None else reach(model, [x]))
    return explain_layer(layer)


@pytest.mark.parametrize(("activation", "words"), SAID, ids=lambda value: str(value)[:30])
def test_it_says_what_is_known_of_the_curve(activation: Activation, words: str) -> None:
    assert words in said(activation)


@pytest.mark.parametrize(("activation", "words"), SAID, ids=lambda value: str(value)[:30])
def test_what_a_file_records_in_english_is_told_in_japanese_as_if_said_so(
    activation: Activation, words: str
) -> None:
    x = torch.linspace(-4, 4, 100).repeat(4, 1).T if activation.channels else torch.linspace(-4, 4, 100)
    recorded = said(activation, x)
    with speak("ja"):
        told = said(activation, x)
        assert retell(recorded) == told
    assert re.findall(r"[a-z]{3,}", told) == []


def test_it_describes_inputs_and_displacement() -> None:
    model = swap(nn.Sequential(nn.ReLU()), {nn.ReLU: PReLU}).model
    with torch.no_grad():
        model.get_parameter("0.a").fill_(0.5)
    (layer,) = layers(model, reach(model, [torch.linspace(-4, 1, 1000)]))
    text = explain_layer(layer)
    assert text.startswith("From −4 to 1:")
    assert "It differs from the fixed point at ReLU() by 0.8 on average on these inputs (" in text
    (part,) = re.findall(r"\((\d+) % of the start's mean size\)", text)
    assert int(part) == pytest.approx(100 * 0.8 / 0.1, rel=0.02)
    assert "Of 1,000 inputs 80 % were below 0 and 20 % beyond ±3; half lay between −2.8 and −0.25." in text


def test_a_side_that_no_inputs_reach_is_not_described() -> None:
    assert "no inputs lie below 0; above 0 it passes" in said(PReLU(), torch.tensor([0.5, 1.0]))


@pytest.mark.parametrize("kind", [kind for kind in ACTIVATIONS.values() if not kind.elementwise])
def test_what_looks_at_more_than_one_input_is_named_so(kind: type[Activation]) -> None:
    assert said(kind(channels=4)).startswith("This is the response to a constant map")


@pytest.mark.parametrize("kind", ACTIVATIONS.values())
def test_there_are_words_for_every_activation(kind: type[Activation]) -> None:
    text = said(kind(channels=4), torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert "nan" not in text
    assert "It stands at its initial values" in text


SHARES = {0.0: "0 %", 0.0004: "< 0.1 %", 0.052: "5.2 %", 0.5: "50 %", 0.9999: "> 99.9 %", 1.0: "100 %"}


@pytest.mark.parametrize(("part", "text"), SHARES.items())
def test_a_share_is_never_rounded_to_none_or_all(part: float, text: str) -> None:
    assert format_share(part) == text


def test_ranges_and_ratios_read_well() -> None:
    assert format_range(np.array([-0.5, 2.0])) == "−0.5 to 2"
    assert format_range(np.array([0.1, 0.1])) == "0.1"
    assert format_range(np.array([-0.0])) == "0"
    assert format_percent(1.5) == "150 %"
