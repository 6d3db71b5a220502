"""Files from float32 to int8, timed and judged, and the one of them that the user asks for."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from adaptact.languages.catalogue import mark
from convert.errors import PrecisionError
from convert.precision.budgets import Budgets
from convert.precision.front.curve import TimeAndLoss, find_front, find_knee
from convert.precision.front.options import FrontOptions
from convert.precision.front.places import PlaceGroup, measure_losses, order_places, spread
from convert.precision.gate import Gate, LossReport, require_passed
from convert.precision.keep import Candidate, FloatSite, OnStep
from convert.precision.sites import Scheme
from convert.tuning.timing import LEAST_NOISE, Limits, Machine, Ratio, compare_times

SPREAD, MOST_FILES = 5, 10
"""Files between the ends at first, and all files in int8."""
ROUNDS = 15
NEAR = 0.01
"""Of files whose times differ by less, which is within the noise, the more exact one is taken."""
_ALONE = mark("in int8 it changes the squared error by {added} and the time by {saved}")
_TOGETHER = mark(
    "in int8 it and {others} neighbours change the squared error by {added} and the time by {saved}"
)


@dataclass(frozen=True, slots=True)
class FrontTask:
    """The user's options, the machine that files are timed on, and the graph in float32."""

    options: FrontOptions
    machine: Machine
    model: ir.Model


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One file: its places in int8, none of them in float32 itself."""

    groups: int
    """In int8, the first ones of the order."""
    places: int
    losses: LossReport
    ratio: Ratio
    """Its time over float32's."""
    seconds: tuple[float, ...]
    """Of one run, by batch."""
    passes: bool

    @property
    def error(self) -> float:
        """The root mean square error of all outputs, as a share of their scales."""
        return math.sqrt(self.losses.mean_square / max(len(self.losses.losses), 1))


@dataclass(frozen=True, slots=True)
class Front:
    """The files that were tried, from float32 on; `best`, `knee` and `chosen` are places among them."""

    options: FrontOptions
    points: tuple[FrontPoint, ...]
    by_accuracy: bool
    """Whether the loss is the drop of accuracy, which the user bounds, rather than the error."""
    best: tuple[int, ...]
    """The files that no other is better than, the fastest first."""
    knee: int | None
    chosen: int
    groups: int
    spent: float


def search_front(
    schemes: Sequence[Scheme], gate: Gate, budgets: Budgets, task: FrontTask, on_step: OnStep
) -> tuple[Front, Candidate]:
    """The front of the graph, and the rounded graph on it that the user's rule names, within the budgets.

    Places are rounded in the order of the time that they save for the error that they add. A few of the
    files that this gives are timed against float32 in turns, and judged; then more, next to the one that the
    rule names. Raises PrecisionError where that one is not within the budgets, or there is no knee.
    """
    start = task.machine.now()
    end = start + task.options.seconds
    scheme, whole = _choose_scheme(schemes, gate, budgets)
    groups = order_places(scheme, gate, task.machine, end, on_step)
    search = _Search(scheme, groups, gate, budgets, task, whole)
    planned = [0, len(groups), *spread(groups, SPREAD)]
    for number in itertools.count():
        count = planned[number] if number < len(planned) else search.find_next()
        if count is None or (number > 1 and (number > MOST_FILES or task.machine.now() >= end)):
            break
        on_step("file", number + 1, MOST_FILES + 1)
        search.try_file(count)
    front = search.summarise(task.machine.now() - start)
    return front, search.build(front)


def _choose_scheme(schemes: Sequence[Scheme], gate: Gate, budgets: Budgets) -> tuple[Scheme, LossReport]:
    """The first scheme that keeps the budgets with every place rounded, else the one that loses the least."""
    tried = []
    for scheme in schemes:
        losses = measure_losses(scheme.round(()), gate)
        tried.append((scheme, losses))
        if not losses.list_overspent(budgets):
            return tried[-1]
    return min(tried, key=lambda pair: pair[1].largest)


class _Search:
    """The files tried so far, by how many groups they have in int8."""

    def __init__(
        self,
        scheme: Scheme,
        groups: Sequence[PlaceGroup],
        gate: Gate,
        budgets: Budgets,
        task: FrontTask,
        whole: LossReport,
    ) -> None:
        self._scheme, self._groups, self._task = scheme, groups, task
        self._gate, self._budgets, self._whole = gate, budgets, whole
        self._base = task.machine.load(task.model)
        self._base_seconds: tuple[float, ...] = ()
        self._points: dict[int, FrontPoint] = {}
        self._least = 0
        """With so many groups or fewer in int8 nothing is rounded, as in float32."""

    def try_file(self, count: int) -> None:
        """The file with so many groups in int8 is timed and judged, unless it has nothing in int8."""
        machine = self._task.machine
        if not count:
            losses = measure_losses(self._task.model, self._gate)
            self._add(count, losses, Ratio(0.0, 0.0, 0.0), ())
            return
        kept = [float_site.site for float_site in self._list_kept(count)]
        if not self._scheme.is_rounding(kept):
            self._least = max(self._least, count)
            return
        graph = self._scheme.round(kept)
        losses = self._whole if count == len(self._groups) else measure_losses(graph, self._gate)
        limits = Limits(ROUNDS, early=False)
        times = compare_times(machine, self._base, machine.load(graph), LEAST_NOISE, limits)
        self._base_seconds = times.base_seconds
        self._add(count, losses, times.overall, times.candidate_seconds)

    def _add(self, count: int, losses: LossReport, ratio: Ratio, seconds: tuple[float, ...]) -> None:
        places = sum(len(group.sites) for group in self._groups[:count])
        passes = not losses.list_overspent(self._budgets)
        self._points[count] = FrontPoint(count, places, losses, ratio, seconds, passes)

    def find_next(self) -> int | None:
        """The file halfway to the neighbour of the one that the rule names; None where there is none."""
        at, by_knee = self._find_named()
        at = at or self._least
        tried = itertools.pairwise(sorted(count or self._least for count in self._points))
        gaps = [(low, high) for low, high in tried if low == at or (by_knee and high == at)]
        low, high = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0, 0))
        return (low + high) // 2 if high - low > 1 else None

    def summarise(self, spent: float) -> Front:
        """The front of the files. Raises PrecisionError where none of them is what the user asks for."""
        points, best, knee = self._draw_front()
        chosen = knee if self._task.options.rule == "knee" else self._choose_fastest(points)
        if chosen is None:
            raise self._explain(points, spent)
        require_passed("int8", points[chosen].losses, self._budgets, " at the knee of the front")
        return Front(
            self._task.options,
            points,
            self._is_by_accuracy,
            best,
            knee,
            chosen,
            len(self._groups),
            spent,
        )

    def _explain(self, points: Sequence[FrontPoint], spent: float) -> PrecisionError:
        """Why no file is what the user asks for."""
        whole = points[-1]
        if self._task.options.rule == "knee":
            return PrecisionError(
                "the front has no knee: of all files between float32 and int8 everywhere, which takes "
                f"{math.exp(whole.ratio.middle):.2f} of the time at an error of {whole.error:.2%}, none "
                "saves a larger share of the time than it adds of the error",
                hint="take the fastest that keeps the budgets: --front fastest",
            )
        exact = points[1] if self._is_by_accuracy else min(points[1:], key=self._measure_loss)
        lines = "; ".join(exact.losses.list_overspent(self._budgets))
        return PrecisionError(
            f"int8 failed its gate: even the front's file with {exact.places} of {whole.places} places in "
            f"int8, of {len(points) - 1} tried, is beyond the budgets: {lines}",
            hint=f"{spent:.0f} s were used: give more time by --front-seconds, or allow more by the option "
            "in brackets",
        )

    def build(self, front: Front) -> Candidate:
        """The chosen file's graph."""
        point = front.points[front.chosen]
        kept = self._list_kept(point.groups)
        graph = self._scheme.round([float_site.site for float_site in kept])
        return Candidate(graph, point.losses, tuple(kept), self._scheme.ranges_by)

    @property
    def _is_by_accuracy(self) -> bool:
        return self._budgets.proves_drop and self._whole.accuracy is not None

    def _measure_loss(self, point: FrontPoint) -> float:
        accuracy = point.losses.accuracy
        return accuracy.drop if self._is_by_accuracy and accuracy is not None else point.error

    def _draw_front(self) -> tuple[tuple[FrontPoint, ...], tuple[int, ...], int | None]:
        """The points, the places of the best of them, and that of the knee among these."""
        exact = replace(self._points[0], seconds=self._base_seconds)
        points = (exact, *(self._points[count] for count in sorted(self._points) if count))
        plane = [TimeAndLoss(math.exp(point.ratio.middle), self._measure_loss(point)) for point in points]
        best = find_front(plane)
        bend = find_knee([plane[place] for place in best])
        knee = None if bend is None or not points[best[bend]].groups else best[bend]
        return points, tuple(best), knee

    def _find_named(self) -> tuple[int, bool]:
        """The number of groups of the file that the rule names, and whether it is the knee."""
        points, _, knee = self._draw_front()
        if self._task.options.rule == "knee":
            return (-1 if knee is None else points[knee].groups), True
        fastest = self._choose_fastest(points)
        return (0 if fastest is None else points[fastest].groups), False

    def _choose_fastest(self, points: Sequence[FrontPoint]) -> int | None:
        losses = [self._measure_loss(point) for point in points]
        return find_fastest(points, losses, in_order=self._is_by_accuracy)

    def _list_kept(self, count: int) -> list[FloatSite]:
        """The places in float where so many groups are in int8, the least worth rounding first."""
        return [
            FloatSite(site, group.added, describe_group(group))
            for group in reversed(self._groups[count:])
            for site in group.sites
        ]


def find_fastest(points: Sequence[FrontPoint], losses: Sequence[float], *, in_order: bool) -> int | None:
    """The place of the fastest file in int8 that passes, or of one as fast that loses less; None for none.

    `in_order`, none behind the first that fails counts: with many files one may pass by chance, and where
    they are judged in an order that was known before, as many are no likelier to than one.

    Source: Angelopoulos et al. 2021, https://arxiv.org/abs/2110.01052 (fixed sequence testing)
    """
    files = [place for place, point in enumerate(points) if point.groups]
    passing = [place for place in files if points[place].passes]
    if in_order:
        passing = list(itertools.takewhile(lambda place: points[place].passes, files))
    if not passing:
        return None
    limit = min(points[place].ratio.middle for place in passing) + math.log1p(NEAR)
    near = [place for place in passing if points[place].ratio.middle <= limit]
    return min(near, key=lambda place: losses[place])


def describe_group(group: PlaceGroup) -> str:
    """What rounding it would bring, in words."""
    others = len(group.sites) - 1
    words = _TOGETHER if others else _ALONE
    return words.format(others=others, added=f"{group.added:+.1%}", saved=f"{-group.saved:+.1%}")
