from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from convert.manifest.records import IntegersRecord
from convert.parity.coverage import Trials
from convert.parity.small_signals import SmallSignals
from convert.parity.unseen import UnseenWeights
from convert.parity.verify import Original
from convert.parity.weakness import judge
from tests.convert.graphs import parse_graph
from tests.convert.parity.test_coverage import make_source

_HEAD = '<ir_version: 10, opset_import: ["" : 20]> g (int64[N] a, float[N] b) => (float[N] y, float[N] z)'
_FILE = f"{_HEAD} <float[3] table = {{1, 2, 3}}> {{ y = Gather(table, a) z = Neg(b) }}"
_MOVED = frozenset({("a", "y"), ("b", "z")})


class Model(nn.Module):
    """Holds a table; it is not run."""

    def __init__(self, table: Sequence[float] = (1.0, 2.0, 3.0)) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """[N], [N] -> [N], [N]."""
        return self.table[a], -b


TRIALS = Trials(
    weights=UnseenWeights(("table",), (), frozenset()),
    all_weights=1,
    moved=_MOVED,
    integers=(IntegersRecord("a", 0, 2, 3),),
    bounded=frozenset({"a"}),
    small=SmallSignals(),
    undefined={},
)
TWO_OF_THREE = replace(TRIALS, integers=(IntegersRecord("a", 0, 2, 2),))


def _judge(trials: Trials, model: nn.Module | None = None) -> tuple[str, ...]:
    source = make_source(model or Model(), "a:int64[N]", "b:float32[N]", outputs=("y", "z"))
    return judge(trials, Original(source.model, ("y", "z")), source, parse_graph(_FILE)).reasons


def test_what_shows_all_is_strong() -> None:
    assert _judge(TRIALS) == ()


@pytest.mark.parametrize(
    ("moved", "reasons"),
    [
        (frozenset({("a", "y")}), ("no input moves output `z`", "input `b` moves no output")),
        (
            frozenset({("a", "z"), ("b", "y"), ("b", "z")}),
            ("input `a` does not move output `y`, which is computed from it",),
        ),
    ],
)
def test_outputs_that_stand_still_are_named(moved: frozenset[tuple[str, str]], reasons: tuple[str]) -> None:
    assert _judge(replace(TRIALS, moved=moved)) == reasons


def test_unseen_weights_are_named() -> None:
    weights = UnseenWeights(tuple("abcdefgh"), tuple("abcde"), frozenset())
    (reason,) = _judge(replace(TRIALS, weights=weights))
    assert reason == "a change of 5 of 8 weights moves no output on any sample: `a`, `b`, `c` and 2 more"


def test_an_unread_weight_counts_if_the_file_holds_it() -> None:
    head, table = (UnseenWeights((name,), (name,), frozenset({name})) for name in ("head", "table"))
    assert _judge(replace(TRIALS, weights=head)) == ()
    (reason,) = _judge(replace(TRIALS, weights=table))
    assert "`table`" in reason


def test_weights_that_could_not_be_tried_are_a_reason() -> None:
    (reason,) = _judge(replace(TRIALS, weights=UnseenWeights((), (), frozenset())))
    assert "too much work" in reason


def test_numbers_without_a_known_bound_are_a_reason() -> None:
    (reason,) = _judge(replace(TRIALS, bounded=frozenset()))
    assert reason.endswith("only those from 0 to 2 were compared")


def test_rows_that_were_not_looked_up_must_be_the_models() -> None:
    assert _judge(TWO_OF_THREE) == ()
    (reason,) = _judge(TWO_OF_THREE, Model((1.0, 2.0, 3.5)))
    assert reason.startswith("2 of the 3 rows of `table` were looked up")
    assert _judge(TRIALS, Model((1.0, 2.0, 3.5))) == ()
