"""The colours: readable on every ground, in the light and in the dark scheme."""

import re

import pytest

from adaptact.style import read_style

TEXTS = ("ink", "soft", "accent", "good", "caution", "bad")
GROUNDS = ("paper", "surface", "raised")
COLOUR = re.compile(r"--([\w-]+):\s*(#[0-9a-f]{6})\b")


def read_schemes() -> dict[str, dict[str, str]]:
    """The colours of each scheme by name."""
    light, _, dark = read_style("tokens").partition("@media screen and (prefers-color-scheme: dark)")
    return {"light": dict(COLOUR.findall(light)), "dark": dict(COLOUR.findall(dark))}


SCHEMES = read_schemes()


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def contrast(first: str, second: str) -> float:
    """As WCAG 2 defines it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_have_a_contrast_of_four_and_a_half(scheme: str) -> None:
    colours = SCHEMES[scheme]
    pairs = [(text, ground) for text in TEXTS for ground in GROUNDS]
    pairs += [(text, f"{text}-ground") for text in ("good", "caution", "bad")]
    pairs += [("ink", f"{text}-ground") for text in ("good", "caution", "bad")] + [("on-accent", "accent")]
    low = {pair: ratio for pair in pairs if (ratio := contrast(*(colours[name] for name in pair))) < 4.5}
    assert low == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_marks_and_borders_have_a_contrast_of_three(scheme: str) -> None:
    colours = SCHEMES[scheme]
    drawn = ["edge", *(f"series-{place}" for place in range(8))]
    low = {
        (name, ground): ratio
        for name in drawn
        for ground in GROUNDS
        if (ratio := contrast(colours[name], colours[ground])) < 3
    }
    assert low == {}


def test_both_schemes_have_the_same_colours() -> None:
    assert set(SCHEMES["light"]) == set(SCHEMES["dark"])
