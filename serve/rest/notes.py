"""What is learnt of an inference request while it is answered, for those who watch."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from serve.engine.joining import rows_of
from serve.engine.model import ServedModel
from serve.engine.signature import Array

NOTES = "adaptact.notes"
"""Where in the scope the notes are, if anybody watches."""


@dataclass(slots=True)
class Notes:
    """Times are by `perf_counter`; what was not reached is None or 0."""

    model: ServedModel | None = None
    rows: int | None = None
    began: float = 0.0
    read: float = 0.0
    ran: float = 0.0
    written: float = 0.0

    def answered(self, inputs: Mapping[str, Array], began: float, read: float, ran: float) -> None:
        """The request was read from `began` to `read`, had run at `ran`, and is written now."""
        self.rows = rows_of(inputs)
        self.began, self.read, self.ran, self.written = began, read, ran, perf_counter()
