"""The colours: readable on every ground, in the light and in the dark scheme."""

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptact.style import SERIES, read_style

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


# What is left of red, green and blue, linear, for who lacks the first, the second or the third kind of cone:
# Machado, Oliveira and Fernandes, 2009, https://doi.org/10.1109/TVCG.2009.113
SIGHTS = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ),
}
XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2127, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]])
"""From linear red, green and blue, in parts of white."""
APART = 15
"""A distance in CIELAB that is seen at a glance; one of 2 is hardly seen side by side."""


def locate(colour: str, sight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the colour lies in CIELAB for who sees so."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(np.clip(XYZ @ np.clip(sight @ linear, 0, 1), 0.008856, 1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_series_are_told_apart_by_who_does_not_see_all_colours(scheme: str, sight: str) -> None:
    places = {f"series-{n}": locate(SCHEMES[scheme][f"series-{n}"], SIGHTS[sight]) for n in range(8)}
    near = {
        (one, other): distance
        for one, other in combinations(places, 2)
        if (distance := float(np.linalg.norm(places[one] - places[other]))) < APART
    }
    assert near == {}


def test_what_is_drawn_without_a_style_sheet_has_the_colours_of_the_light_scheme() -> None:
    assert tuple(SCHEMES["light"][f"series-{place}"] for place in range(1, 8)) == SERIES


def test_both_schemes_have_the_same_colours() -> None:
    assert set(SCHEMES["light"]) == set(SCHEMES["dark"])
