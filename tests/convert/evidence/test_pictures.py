import dataclasses

import numpy as np
import pytest

from convert.evidence.pictures import curves_picture
from convert.manifest import ActivationRecord, ReachRecord, StartRecord
from tests.convert.test_manifest import MANIFEST

OLD = MANIFEST.activations[0]  # of a version that knew neither start nor reach
NEW = dataclasses.replace(
    OLD,
    start=StartRecord("the fixed point", {}, tuple(OLD.curve.points for _ in OLD.curve.values)),
    reach=ReachRecord(100, -1.0, 1.0, (0.25, 0.75), 0.25),
)


@pytest.mark.parametrize(
    ("one", "parts", "named"), [(OLD, 1, ["learned"]), (NEW, 2, ["learned", "start", "what reached it"])]
)
def test_only_what_the_manifest_holds_is_drawn_and_named(
    one: ActivationRecord, parts: int, named: list[str]
) -> None:
    figure = curves_picture([one])
    (legend,) = figure.legends
    assert len(figure.axes) == parts
    assert [text.get_text() for text in legend.get_texts()] == named
    curve = figure.axes[0].lines[2]  # after the two lines through zero
    assert np.asarray(curve.get_xydata()).tolist() == [
        list(point) for point in zip(one.curve.points, one.curve.values[0], strict=True)
    ]
