"""The geometry of a front: its points by time and loss, both of which are better where they are less."""

import math
from collections.abc import Sequence
from typing import NamedTuple

LEAST_BEND = 0.02
"""A share of both axes: a bend of less is within the noise of the times."""


class TimeAndLoss(NamedTuple):
    """A point of the plane."""

    time: float
    loss: float


def find_front(points: Sequence[TimeAndLoss]) -> list[int]:
    """The places of the points that no other dominates, the fastest first.

    A point dominates another if it is better in one and no worse in both; of equal ones the first stays.
    Points without finite numbers are left out.
    """
    front: list[int] = []
    finite = [place for place, point in enumerate(points) if all(map(math.isfinite, point))]
    for place in sorted(finite, key=lambda place: (*points[place], place)):
        if not front or points[place].loss < points[front[-1]].loss:
            front.append(place)
    return front


def find_knee(points: Sequence[TimeAndLoss]) -> int | None:
    """The place in a front of the point farthest below the line between its ends; None where none is below.

    Both axes are scaled to run from 0 to 1 over the front, so the knee is the same in all units: the largest
    difference of Kneedle, which smooths curves of many points before.

    Source: Satopaa et al. 2011, https://doi.org/10.1109/ICDCSW.2011.20
    """
    if len(points) < 3:
        return None
    first, last = points[0], points[-1]
    below = [
        1
        - (point.time - first.time) / (last.time - first.time)
        - (point.loss - last.loss) / (first.loss - last.loss)
        for point in points
    ]
    farthest = max(range(1, len(points) - 1), key=below.__getitem__)
    return farthest if below[farthest] > LEAST_BEND else None
