"""State dicts as training loops wrap them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from convert.errors import SourceError, UsageError
from convert.sources.load import load
from convert.sources.source import Source
from tests.convert.sources import files

State = dict[str, Tensor]


class Net(nn.Module):
    """[N, 4] -> [N, 2]; one of its own names is a wrapper's."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(4, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.module(x))
        return result


class Tied(nn.Module):
    """[N, 4] -> [N, 4], by one matrix under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x))
        return result


def _fill(model: nn.Module, number: float = 1.0) -> nn.Module:
    with torch.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(number + torch.arange(parameter.numel()).reshape(parameter.shape) + 100 * place)
    return model


def _prefix(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def _load(folder: Path, content: Any, model: str = "Net", **options: Any) -> Source:
    torch.save(content, folder / "m.pt")
    return load(folder / "m.pt", f"{__name__}:{model}", None, [files.ROWS], **options)


def _holds(source: Source, model: nn.Module) -> bool:
    own = source.model.state_dict()
    return all(torch.equal(own[name], tensor) for name, tensor in model.state_dict().items())


STATE = _fill(Net()).state_dict()
CASES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "bare": (lambda: STATE, ()),
    "DataParallel": (
        lambda: nn.DataParallel(_fill(Net())).state_dict(),
        ("`module.` removed from its names",),
    ),
    "torch.compile": (lambda: _prefix("_orig_mod.", STATE), ("`_orig_mod.` removed from its names",)),
    "compiled, then parallel": (
        lambda: _prefix("module._orig_mod.", STATE),
        ("`_orig_mod.` removed from its names", "`module.` removed from its names"),
    ),
    "one layer compiled": (
        lambda: {name.replace("head.", "head._orig_mod."): tensor for name, tensor in STATE.items()},
        ("`_orig_mod.` removed from its names",),
    ),
    "Lightning": (
        lambda: {"epoch": 3, "state_dict": _prefix("model.", STATE), "loops": {}, "lr_schedulers": []},
        ("taken from `state_dict`", "`model.` removed from its names"),
    ),
    "Lightning, compiled": (
        lambda: {"state_dict": _prefix("net._orig_mod.", STATE)},
        ("taken from `state_dict`", "`_orig_mod.` removed from its names", "`net.` removed from its names"),
    ),
    "training loop": (
        lambda: {
            "model_state_dict": STATE,
            "optimizer_state_dict": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []},
        },
        ("taken from `model_state_dict`",),
    ),
    "beside other tensors": (
        lambda: {"model": STATE, "normalisation": {"mean": torch.zeros(3), "std": torch.ones(3)}},
        ("taken from `model`",),
    ),
    "averaged": (
        lambda: AveragedModel(_fill(Net())).state_dict(),
        ("`module.` removed from its names", "`n_averaged` left out"),
    ),
    "in a dictionary in a dictionary": (
        lambda: {"ema": {"decay": 0.9, "shadow": STATE}},
        ("taken from `ema.shadow`",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrapped_state_is_loaded_and_said(tmp_path: Path, case: str) -> None:
    make, notes = CASES[case]
    source = _load(tmp_path, make())
    assert _holds(source, _fill(Net()))
    assert sorted(source.notes) == sorted(notes)


def test_two_states_that_fit_must_be_chosen_from(tmp_path: Path) -> None:
    content = {"model": STATE, "ema": _prefix("module.", _fill(Net(), 7).state_dict())}
    with pytest.raises(UsageError, match=r"2 state_dicts \(`model`, `ema`\), 2 of which fit") as refused:
        _load(tmp_path, content)
    assert refused.value.hint == "choose one: --state-key model"
    assert _holds(_load(tmp_path, content, state_key="ema"), _fill(Net(), 7))
    assert _holds(_load(tmp_path, content, state_key="model"), _fill(Net()))


def test_the_shapes_decide_between_states_of_the_same_names(tmp_path: Path) -> None:
    wider = {name: torch.zeros(9, *tensor.shape[1:]) for name, tensor in STATE.items()}
    assert _load(tmp_path, {"teacher": wider, "student": STATE}).notes == ("taken from `student`",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": STATE}, "no state_dict under `ema`; it holds `model`"),
        (STATE, "no state_dict under `ema`; it is one state_dict as a whole"),
    ],
)
def test_a_key_that_is_not_there_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        _load(tmp_path, content, state_key="ema")


def test_a_key_for_a_file_without_state_dicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"chooses among state_dicts, and .* is of kind `ONNX`"):
        load(files.write_onnx(tmp_path / "m.onnx"), state_key="ema")


def test_several_states_of_other_models_are_listed(tmp_path: Path) -> None:
    others = {name: nn.Linear(5, 5).state_dict() for name in ("a", "b")}
    with pytest.raises(UsageError, match=r"\(`a`, `b`\), none of which fits the model"):
        _load(tmp_path, others)


def test_a_name_that_the_model_lacks_is_refused_after_unwrapping(tmp_path: Path) -> None:
    state = _prefix("module.", {**STATE, "extra": torch.zeros(1)})
    with pytest.raises(SourceError, match=r'Unexpected key\(s\) in state_dict: "extra"'):
        _load(tmp_path, state)


def test_names_that_would_fall_together_stay(tmp_path: Path) -> None:
    state = {**_prefix("_orig_mod.", STATE), **STATE}
    with pytest.raises(SourceError, match="Unexpected key"):
        _load(tmp_path, state)


def test_a_shared_tensor_may_be_stored_once(tmp_path: Path) -> None:
    source = _load(tmp_path, {"first.weight": torch.full((4, 4), 2.0)}, "Tied")
    assert source.notes == ("`second.weight` is `first.weight`, with which the model shares it",)
    assert source.model(torch.ones(1, 4)).tolist() == [[64.0] * 4]


def test_a_state_dict_nested_too_deep_is_not_looked_for(tmp_path: Path) -> None:
    content: Any = STATE
    for _ in range(4):
        content = {"a": content}
    with pytest.raises(SourceError, match="expected a state_dict"):
        _load(tmp_path, content)
