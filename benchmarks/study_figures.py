"""Draws the figures of the committed studies anew from their results, without a training run.

`python -m benchmarks.study_figures`. The learned curves are not in the results: their picture stays as it is.
"""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adaptact.files import replace_file
from adaptact.report.drawing import draw_png
from adaptact.report.markdown import FIGURES
from adaptive_act.study import curve_figures, figures
from adaptive_act.study.results import Results

STUDIES = Path(__file__).parents[1] / "docs" / "results" / "studies"


def main() -> None:
    """Draw every study's figures."""
    for path in sorted(STUDIES.glob("*/results.json")):
        results: Results = build(Results, json.loads(path.read_text(encoding="utf-8")))
        drawn = {
            "the-answer-3": partial(figures.differences_figure, results),
            "each-seed-0": partial(figures.scores_figure, results),
            "learning-curves-0": partial(curve_figures.learning_figure, results, "score"),
            "learning-curves-1": partial(curve_figures.learning_figure, results, "loss"),
        }
        for name, draw in drawn.items():
            with replace_file(path.parent / FIGURES / f"{name}.png") as file:
                file.write_bytes(draw_png(draw, 130))


def build(kind: Any, content: Any) -> Any:  # Any: an annotation, and JSON
    """JSON as the annotated type; null is NaN where a number is expected, as `write_results` wrote it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = [field.name for field in fields(kind) if field.init and field.name in content]
        return kind(**{name: build(hints[name], content[name]) for name in names})
    if origin in (types.UnionType, typing.Union):
        others = [argument for argument in arguments if argument is not types.NoneType]
        return None if content is None else build(others[0], content)
    if isinstance(content, list):
        return tuple(build(arguments[0] if arguments else Any, item) for item in content)
    if isinstance(content, dict) and (origin is dict or origin is Mapping or arguments):
        return {key: build(arguments[1], item) for key, item in content.items()}
    return math.nan if kind is float and content is None else content


if __name__ == "__main__":
    main()
