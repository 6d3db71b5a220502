"""Whether a run is short enough for the thread that serves everybody."""

from dataclasses import dataclass

# Handing a run to another thread and back costs 50 to 80 microseconds: a run that takes
# less is cheaper, and delays the others less, on the event loop itself.
HOP_SECONDS = 60e-6
WEIGHT = 0.1
# A busy machine may interrupt any run for milliseconds; one such run says nothing about the model.
SURPRISE = 4


@dataclass(slots=True)
class Cost:
    """A running mean of the seconds that one run takes for each element of its input.

    Runs that prove slow raise the mean, so that the next ones leave the event loop; they come back once
    they prove short again.
    """

    seconds_per_element: float

    def is_short(self, elements: int) -> bool:
        """Whether a run over so many elements is expected to take less than a hop to a thread."""
        return self.seconds_per_element * elements < HOP_SECONDS

    def observe(self, elements: int, seconds: float) -> None:
        """Take a measured run into the mean."""
        measured = min(seconds / elements, SURPRISE * self.seconds_per_element)
        self.seconds_per_element += WEIGHT * (measured - self.seconds_per_element)
