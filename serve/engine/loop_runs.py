"""Short runs, which take place on the event loop itself, and the watch over them."""

import logging
from collections.abc import Mapping
from time import perf_counter

from serve.engine.errors import ModelUnavailableError
from serve.engine.model import ServedModel
from serve.engine.providers import make_run_options
from serve.engine.signature import Array

log = logging.getLogger("adaptact")


class LoopRuns:
    """Runs on the event loop, one at a time; one that holds everybody up is ended."""

    def __init__(self) -> None:
        """Start without a run."""
        self._options = make_run_options()
        self._count = 0
        self._is_running = False
        self._seen = 0

    def run(
        self, model: ServedModel, inputs: Mapping[str, Array], outputs: tuple[str, ...], rows: int, size: int
    ) -> list[Array] | None:
        """The named outputs; None if the run was ended by `check`. Raises what the model's `run` raises."""
        self._count += 1
        self._is_running = True
        was_doubted = model.cost.is_doubted
        processor_started = model.clock() if was_doubted else 0.0
        started = perf_counter()
        try:
            arrays = model.run(inputs, outputs, self._options)
        except ModelUnavailableError:
            if model.cost.leave_loop(size, perf_counter() - started):
                log.warning(
                    "%s held up the event loop; it runs in threads until its runs are short", model.label
                )
            return None
        finally:
            self._is_running = False
        ended = perf_counter()
        took = model.clock() - processor_started if was_doubted else ended - started
        model.cost.observe_on_loop(size, took, is_certain=was_doubted)
        model.metrics.count_alone(rows, ended - started, ended)
        return arrays

    def check(self) -> None:
        """End the run that was already there at the last call; called regularly, from another thread."""
        running = self._count if self._is_running else 0
        if running and running == self._seen:
            # Each run has the options of its start, so that the next one is not ended with this one. One that
            # begins right now may be; it is then run in a thread as well.
            options, self._options = self._options, make_run_options()
            options.terminate = True
        self._seen = running
