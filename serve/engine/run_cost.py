"""What a run of a model takes, as far as earlier runs show: it decides where the next one takes place."""

from dataclasses import dataclass

# Handing a run to another thread and back costs 50 to 80 microseconds: a run that takes
# less is cheaper, and delays the others less, on the event loop itself.
HOP_SECONDS = 60e-6
MEAN_WEIGHT = 0.1
# A busy machine may interrupt any run for milliseconds; one such run says nothing about the model.
MAX_GROWTH = 4
# But the second of two that held up everybody for so long counts in full.
BLOCKING_SECONDS = 0.05


@dataclass(slots=True)
class RunCost:
    """The running mean of the seconds per input element of a run.

    Slow runs raise the mean, so that the next ones leave the event loop; they come back once they are short.
    """

    seconds_per_element: float
    queued_seconds_per_element: float = 0.0
    """The same of queued requests, which take less where they share runs; 0 if unknown."""
    loop_seconds: float = HOP_SECONDS
    """Runs that should take less time than this take place on the event loop; 0 for none."""
    was_blocking: bool = False
    """Whether the last run held up everybody."""
    is_doubted: bool = False
    """Whether the last run on the event loop took much longer than others: the next one is to be measured in
    processor time."""

    def is_short(self, elements: int) -> bool:
        """Whether a run over this many elements should take less time than handing it to a thread."""
        return self.seconds_per_element * elements < self.loop_seconds

    def leave_loop(self, elements: int, seconds: float) -> bool:
        """Whether a run held up the event loop; if so it counts in full, and dozens take place elsewhere."""
        self.was_blocking = seconds >= BLOCKING_SECONDS
        if self.was_blocking:
            self.observe(elements, seconds)
        return self.was_blocking

    def observe_on_loop(self, elements: int, seconds: float, *, is_certain: bool) -> None:
        """Add a run on the event loop, unless it took much longer than others and is not certain.

        Only processor time is certain: by the clock a busy machine, or another thread with Python's lock, may
        have held up the run.
        """
        is_long = seconds > MAX_GROWTH * self.seconds_per_element * elements
        if is_certain or not is_long:
            self.observe(elements, seconds)
        self.is_doubted = is_long

    def observe(self, elements: int, seconds: float) -> None:
        """Add a measured run to the mean."""
        measured = seconds / elements
        is_blocking = seconds >= BLOCKING_SECONDS
        if not (is_blocking and self.was_blocking):
            measured = min(measured, MAX_GROWTH * self.seconds_per_element)
        self.was_blocking = is_blocking
        self.seconds_per_element += MEAN_WEIGHT * (measured - self.seconds_per_element)

    def predict_queued(self, elements: int) -> float:
        """The seconds that a queued request with this many elements should take of a thread; 0 if unknown."""
        return self.queued_seconds_per_element * elements

    def observe_queued(self, elements: int, seconds: float) -> None:
        """Add a run of queued requests, with this many elements together, to their mean."""
        measured = seconds / elements
        weight = MEAN_WEIGHT if self.queued_seconds_per_element else 1.0
        self.queued_seconds_per_element += weight * (measured - self.queued_seconds_per_element)

    def observe_joined(self, elements: int, seconds: float) -> None:
        """Add a joint run to the mean: alone, these elements would have taken no longer."""
        if seconds < self.seconds_per_element * elements:
            self.observe(elements, seconds)
