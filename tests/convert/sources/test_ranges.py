import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.samples import generate_samples
from convert.sources.ranges import add_ranges
from tests.convert.sources.files import TOKENS, Tagger


class Positions(nn.Module):
    """One table by a module, a shorter one by a function; the second input indexes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.Embedding(40, 2)
        self.short = nn.Parameter(torch.ones(9, 2))

    def forward(self, ids: Tensor, other: Tensor) -> Tensor:
        """[N], [N] -> [N, 2]."""
        result: Tensor = self.long(ids) + F.embedding(ids, self.short) + other.unsqueeze(-1)
        return result


INPUTS = (parse_input("ids:int64[N]"), parse_input("other:int64[N]"))


def _read_bounds(inputs: tuple[InputSpec, ...]) -> list[int | None]:
    return [spec.below for spec in inputs]


def test_an_index_is_bounded_by_its_shortest_table() -> None:
    assert _read_bounds(add_ranges(Positions(), INPUTS)) == [9, None]


class Columns(nn.Module):
    """A table for each column of one input, the last of them the shortest."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, 2) for rows in (10, 50, 3))

    def forward(self, rows: Tensor) -> Tensor:
        """[N, 3] -> [N, 2]."""
        return torch.stack([table(rows[:, place]) for place, table in enumerate(self.tables)]).sum(0)


def test_the_table_of_one_column_does_not_bound_the_others() -> None:
    assert _read_bounds(add_ranges(Columns(), (parse_input("rows:int64[N,3]"),))) == [None]


def test_a_users_bound_stays() -> None:
    told = (parse_input("ids:int64[N]<5"), parse_input("other:int64[N]"))
    assert _read_bounds(add_ranges(Positions(), told)) == [5, None]


def test_a_failing_model_gives_no_bound() -> None:
    assert add_ranges(nn.Linear(2, 2), INPUTS) == INPUTS


def test_samples_cover_the_whole_table() -> None:
    ids, _ = add_ranges(Tagger(12), TOKENS)
    numbers = np.concatenate([samples.arrays[0].reshape(-1) for samples in generate_samples([ids])])
    assert set(numbers.tolist()) == set(range(12))
