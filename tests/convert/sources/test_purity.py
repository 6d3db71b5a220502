import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.errors import SourceError
from convert.model_io.inputs import parse_input
from convert.sources.load import load
from convert.sources.purity import require_pure

ROWS = (parse_input("x:float32[N,4,4]"),)


class Calls(nn.Module):
    """A function of the module and its input."""

    mean: Tensor
    steps: Tensor

    def __init__(self, function: Callable[["Calls", Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.loc, self.scale = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.ones(4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("steps", torch.zeros(()))
        self.inner = nn.Dropout(0.005)
        self.kept: Tensor | None = None
        self.tables: dict[int, Tensor] = {}
        self.nested: dict[str, Any] = {}
        self.average, self.calls, self.is_ready = 0.0, 0, False

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4, 4] -> [N, 4, 4]."""
        return self.function(self, x)


def normalise_once(self: Calls, x: Tensor) -> Tensor:
    """ActNorm as in Glow: the first samples set the statistics."""
    if not self.is_ready:
        self.loc.data.copy_(-x.mean((0, 1)))
        self.scale.data.copy_(1 / x.std((0, 1)))
        self.is_ready = True
    return (x + self.loc) * self.scale


def fill_a_buffer(self: Calls, x: Tensor) -> Tensor:
    """The same in a buffer."""
    if not self.is_ready:
        self.mean, self.is_ready = x.mean((0, 1)), True
    return x - self.mean


def keep_a_tensor(self: Calls, x: Tensor) -> Tensor:
    """The same in a plain attribute."""
    self.kept = x.mean() if self.kept is None else self.kept
    return x - self.kept


def keep_a_number(self: Calls, x: Tensor) -> Tensor:
    """The same as a number."""
    self.average = self.average or float(x.mean())
    return x - self.average


def count_steps(self: Calls, x: Tensor) -> Tensor:
    """A step count that the output hardly shows."""
    self.steps = self.steps + 1
    return x * (1 + 1e-12 * self.steps)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        *((normalise_once, "loc"), (fill_a_buffer, "mean"), (keep_a_tensor, "kept")),
        *((keep_a_number, "average"), (count_steps, "steps")),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_a_model_that_changes_itself_is_refused(
    function: Callable[[Calls, Tensor], Tensor], name: str, training: bool
) -> None:
    with pytest.raises(SourceError, match=f"changes its own `{name}`"):
        require_pure(Calls(function).train(training), ROWS)


def make_normalisation() -> Calls:
    """A model that initialises itself."""
    return Calls(normalise_once)


def test_a_file_with_such_a_model_is_refused(tmp_path: Path) -> None:
    torch.save(make_normalisation().state_dict(), tmp_path / "m.pt")
    with pytest.raises(SourceError, match="changes its own `loc`"):
        load(tmp_path / "m.pt", factory=f"{__name__}:make_normalisation", inputs=ROWS)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_layer_that_takes_its_size_from_the_samples_is_refused() -> None:
    with pytest.raises(SourceError, match=r"changes its own `0\.weight`"):
        require_pure(nn.Sequential(nn.LazyLinear(3)), ROWS)


def keep_in_lists(self: Calls, x: Tensor) -> Tensor:
    """State deep in plain containers, one of which holds itself."""
    if not self.nested:
        self.nested = {"keys": [x.mean()]}
        self.nested["itself"] = [self.nested]
    kept: Tensor = self.nested["keys"][0]
    return x - kept


def test_state_in_containers_is_found() -> None:
    with pytest.raises(SourceError, match="changes its own `nested"):
        require_pure(Calls(keep_in_lists), ROWS)


def test_a_normalisation_in_training_mode_is_refused() -> None:
    with pytest.raises(SourceError, match=r"changes its own `0\.running_mean`"):
        require_pure(nn.Sequential(nn.BatchNorm1d(4)), ROWS)


def drop_path(self: Calls, x: Tensor) -> Tensor:
    """Stochastic depth as textbooks write it."""
    kept = (0.995 + torch.rand((x.shape[0], 1, 1))).floor()
    return x / 0.995 * kept


def drop_path_by_bernoulli(self: Calls, x: Tensor) -> Tensor:
    """Stochastic depth as timm writes it."""
    return x * x.new_empty((x.shape[0], 1, 1)).bernoulli_(0.995).div_(0.995)


def attend_with_dropout(self: Calls, x: Tensor) -> Tensor:
    """Attention that drops weights."""
    return F.scaled_dot_product_attention(x, x, x, dropout_p=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        *(drop_path, drop_path_by_bernoulli, attend_with_dropout),
        *(lambda self, x: F.dropout(x, 1e-6), lambda self, x: self.inner.train()(x)),
        *(lambda self, x: F.rrelu(x, training=True), lambda self, x: x + 1e-9 * torch.randn_like(x)),
        *(lambda self, x: F.gumbel_softmax(x), lambda self, x: x[:, torch.randperm(4)]),
        lambda self, x: x + (torch.rand(()) < 1e-6),
    ],
)
def test_a_random_model_is_refused_however_seldom_it_shows(
    function: Callable[[Calls, Tensor], Tensor],
) -> None:
    with pytest.raises(SourceError, match="the outputs of the model are random") as exc_info:
        require_pure(Calls(function).eval(), ROWS)
    assert "training" in str(exc_info.value.hint)


def keep_a_table(self: Calls, x: Tensor) -> Tensor:
    """A table of positions for each size, made when it is first needed."""
    if x.shape[1] not in self.tables:
        self.tables[x.shape[1]] = torch.arange(x.shape[1]).float()
    self.calls += 1
    return x + self.tables[x.shape[1]]


def enlarge_a_buffer(self: Calls, x: Tensor) -> Tensor:
    """The same in a buffer."""
    if self.mean.shape != x.shape[1:]:
        self.mean = torch.ones(x.shape[1:]).cumsum(0)
    return x + self.mean


@pytest.mark.parametrize(
    "function",
    [
        *(keep_a_table, enlarge_a_buffer, lambda self, x: self.inner(x)),
        *(lambda self, x: F.rrelu(x), lambda self, x: F.scaled_dot_product_attention(x, x, x)),
        lambda self, x: x + 0 * torch.rand_like(x),
        lambda self, x: x.reshape(3, -1),  # it cannot be run: the export says so
    ],
)
def test_a_pure_model_passes_and_stays(function: Callable[[Calls, Tensor], Tensor]) -> None:
    model = Calls(function).eval()
    state = copy.deepcopy(dict(model.named_parameters()))
    require_pure(model, ROWS)
    assert all(torch.equal(state[name], value) for name, value in model.named_parameters())


@pytest.mark.parametrize(
    "model",
    [
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        nn.LSTM(4, 4, num_layers=2, dropout=0.5),
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)),
    ],
)
def test_a_dropout_in_evaluation_mode_passes(model: nn.Module) -> None:
    require_pure(model.eval(), ROWS)
