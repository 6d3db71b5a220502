"""Which rows are asked for together."""

from collections.abc import Iterator
from dataclasses import dataclass

from serve.client.errors import InvalidFileError
from serve.client.replies import ModelMetadata


@dataclass(frozen=True, slots=True)
class Plan:
    """So many rows, asked for in batches of so many; the last may be smaller."""

    rows: int
    batch: int

    def batches(self) -> Iterator[tuple[int, int]]:
        """The first row of each batch, and the one after its last."""
        return ((start, min(start + self.batch, self.rows)) for start in range(0, self.rows, self.batch))


def make_plan(rows: int, batch: int, model: ModelMetadata) -> Plan:
    """Batches of the size asked for, or of the one that the model takes; raises `InvalidFileError`."""
    fixed = {spec.shape[0] for spec in model.inputs if spec.shape and spec.shape[0] != -1}
    if len(fixed) > 1:
        raise InvalidFileError(
            f"model `{model.name}` has inputs whose first sizes differ: `{sorted(fixed)}`; "
            "it does not take rows"
        )
    if not fixed:
        return Plan(rows, batch)
    size = max(1, fixed.pop())
    if rows % size:
        raise InvalidFileError(
            f"model `{model.name}` takes `{size}` rows at once, and the input has `{rows}`, no multiple of it"
        )
    return Plan(rows, size)
