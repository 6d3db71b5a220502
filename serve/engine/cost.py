"""Whether a run is short enough for the thread that serves everybody."""

from dataclasses import dataclass

# Handing a run to another thread and back costs 50 to 80 microseconds: a run that takes
# less is cheaper, and delays the others less, on the event loop itself.
HOP_SECONDS = 60e-6
WEIGHT = 0.1
# A busy machine may interrupt any run for milliseconds; one such run says nothing about the model.
SURPRISE = 4
# Nor may it prove nothing: a run that stood still for so long held up everybody.
BLOCKING_SECONDS = 0.05


@dataclass(slots=True)
class Cost:
    """A running mean of the seconds that one run takes for each element of its input.

    Runs that prove slow, or one that holds up everybody, raise the mean, so that the next ones leave the
    event loop; they come back once they prove short again.
    """

    seconds_per_element: float

    def is_short(self, elements: int) -> bool:
        """Whether a run over so many elements is expected to take less than a hop to a thread."""
        return self.seconds_per_element * elements < HOP_SECONDS

    def observe(self, elements: int, seconds: float) -> None:
        """Take a measured run into the mean."""
        measured = seconds / elements
        if seconds < BLOCKING_SECONDS:
            measured = min(measured, SURPRISE * self.seconds_per_element)
        self.seconds_per_element += WEIGHT * (measured - self.seconds_per_element)

    def observe_joined(self, elements: int, seconds: float) -> None:
        """Take a run that others shared into the mean: alone, these elements would have taken no longer."""
        if seconds < self.seconds_per_element * elements:
            self.observe(elements, seconds)
