"""The fastest of several candidates, timed in turns for a bounded time, by successive halving.

All candidates take a turn in each round. After a few rounds the slower half is left out, until one is left
beside the first. The first is what is used otherwise: it stays unless another is clearly faster. Turns in the
same round are compared with each other only, so other load on the machine affects all alike.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEAST_GAIN = 0.01
"""The share of the time that a candidate has to save."""
MOST_LOSS = 0.03
"""What it may lose with a single batch size."""
AGREEMENT = 0.75
"""The share of the rounds in which it has to be faster; of many rounds two standard deviations above half."""
STAGE_ROUNDS = 3
"""The rounds after which the slower half is left out."""
MOST_ROUNDS = 15
UNSURE_ROUNDS = 60
"""The rounds of the last two where one seems faster after MOST_ROUNDS, and not clearly: all are run, since
looking after each for a gain would find one by chance."""
SURE_ROUNDS, SURE_RATIO = 5, 1.15
"""The last two differ by so much after so many rounds: more would hardly change the result."""
CLOSE_RATIO = 1.06
"""The last two differ by less: noise may decide, and more rounds are worth some time."""
TURN_SECONDS = 0.01
SHORT_SECONDS = 0.002
"""A run up to here is often not interrupted at all, and its wall-clock minimum counts; of a longer run on one
thread the processor time does, which stands still meanwhile."""

Turn = Callable[[], Sequence[float]]
"""Takes one turn: the seconds of one run for each batch size."""
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class HalvingResult:
    """The candidate that was chosen, by its place, and what each took."""

    chosen: int
    timings: "tuple[Timing, ...]"

    @property
    def gain(self) -> float:
        """The chosen one's time over the first one's."""
        return self.timings[self.chosen].ratio


@dataclass(frozen=True, slots=True)
class Timing:
    """The turns of one candidate."""

    seconds: tuple[float, ...]
    """By batch size, the median of its turns."""
    ratio: float
    """Its time over the first one's in the same round: of all batch sizes the geometric mean, of all rounds
    the median."""
    worst: float
    """The same of the batch size with which it is slowest."""
    rounds: int
    seems_faster: bool
    """Whether it takes less time than the first one, by as much as counts."""
    is_faster: bool
    """Whether it does so in so many rounds that it is clear."""


def find_fastest(
    turns: Sequence[Turn], now: Clock, until: float, latest: float | None = None
) -> HalvingResult:
    """The fastest of the candidates, the first one unless another is clearly faster.

    Ends at the time `until`, and only at `latest` where the first rounds take longer or the last two are
    close, or one only seems faster, with the turn that has begun by then; a round that is not complete does
    not count.
    """
    times: list[list[Sequence[float]]] = [[] for _ in turns]
    alive = list(range(len(turns)))
    latest = max(until, latest or until)
    for number in range(UNSURE_ROUNDS):
        if number == MOST_ROUNDS and not _is_unsure(times, alive):
            break
        is_open = number < STAGE_ROUNDS or number >= MOST_ROUNDS or _are_close(times, alive)
        end = latest if is_open else until
        if len(alive) < 2 or not _run_round(turns, times, alive, number, now, end):
            break
        if len(alive) > 2 and (number + 1) % STAGE_ROUNDS == 0:
            others = sorted(alive[1:], key=lambda place: summarise(times[0], times[place]).ratio)
            alive = [alive[0], *others[: math.ceil(len(others) / 2)]]
        elif len(alive) == 2 and number < MOST_ROUNDS and _is_decided(summarise(times[0], times[alive[1]])):
            break
    timings = tuple(summarise(times[0], own) for own in times)
    winners = [place for place in alive[1:] if timings[place].is_faster]
    return HalvingResult(min(winners, key=lambda place: timings[place].ratio, default=0), timings)


def _run_round(
    turns: Sequence[Turn],
    times: Sequence[list[Sequence[float]]],
    alive: Sequence[int],
    number: int,
    now: Clock,
    until: float,
) -> bool:
    """Whether the round was complete; its times are then added."""
    round_times: dict[int, Sequence[float]] = {}
    # Back and forth, so that whatever drifts during a round favours none.
    for place in alive if number % 2 == 0 else reversed(alive):
        if now() >= until:
            return False
        round_times[place] = turns[place]()
    for place, seconds in round_times.items():
        times[place].append(seconds)
    return True


def summarise(base: Sequence[Sequence[float]], own: Sequence[Sequence[float]]) -> Timing:
    """The turns of a candidate against the first one's in the same rounds."""
    if not own:
        return Timing((), 1.0, 1.0, 0, seems_faster=False, is_faster=False)
    rounds = [
        [math.log(mine / other) for mine, other in zip(*turn, strict=True)]
        for turn in zip(own, base, strict=False)  # the first one took part in all rounds
    ]
    means = [statistics.fmean(batches) for batches in rounds]
    middle = statistics.median(means)
    worst = max(statistics.median(batch) for batch in zip(*rounds, strict=True))
    seems_faster = middle <= math.log(1 - LEAST_GAIN) and worst <= math.log(1 + MOST_LOSS)
    agreed = sum(mean < 0 for mean in means) / len(means)
    needed = min(AGREEMENT, 0.5 + 1 / math.sqrt(len(means)))
    return Timing(
        seconds=tuple(map(statistics.median, zip(*own, strict=True))),
        ratio=math.exp(middle),
        worst=math.exp(worst),
        rounds=len(own),
        seems_faster=seems_faster,
        is_faster=seems_faster and len(means) >= STAGE_ROUNDS and agreed >= needed,
    )


def _are_close(times: Sequence[Sequence[Sequence[float]]], alive: Sequence[int]) -> bool:
    """Whether two are left, of which noise may choose the slower one."""
    if len(alive) != 2:
        return False
    ratio = summarise(times[0], times[alive[1]]).ratio
    return max(ratio, 1 / ratio) < CLOSE_RATIO


def _is_unsure(times: Sequence[Sequence[Sequence[float]]], alive: Sequence[int]) -> bool:
    """Whether two are left, of which one seems faster than the first one, and not clearly."""
    if len(alive) != 2:
        return False
    timing = summarise(times[0], times[alive[1]])
    return timing.seems_faster and not timing.is_faster


def _is_decided(timing: Timing) -> bool:
    sure = max(timing.ratio, 1 / timing.ratio) >= SURE_RATIO
    return timing.rounds >= SURE_ROUNDS and sure and (timing.is_faster or timing.ratio > 1)


def time_turn(run: Callable[[], object], wall: Clock, processor: Clock | None) -> float:
    """The seconds of the fastest run in one turn: other load on the machine only adds time.

    `processor` is the clock of the time that the run's one thread computes; None for several threads.
    """
    walls: list[float] = []
    computed: list[float] = []
    end = wall() + TURN_SECONDS
    while not walls or wall() < end:
        start, began = wall(), processor() if processor is not None else 0.0
        run()
        computed.append(processor() - began if processor is not None else 0.0)
        walls.append(wall() - start)
    fastest, least = min(walls), min(computed)
    # Some kernels count a thread's time in ticks, and one that stood still says nothing.
    return max(fastest if fastest <= SHORT_SECONDS or not least else least, 1e-9)
