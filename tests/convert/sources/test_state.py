"""A bare state_dict that does not fit its model is refused by name, whatever else the model's state is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convert.errors import SourceError
from convert.sources.load import load
from tests.convert.sources import files


class Remembering(nn.Linear):
    """[N, 4] -> [N, 2]; its state is more than tensors."""

    def __init__(self) -> None:
        super().__init__(4, 2)

    def get_extra_state(self) -> object:
        return {"step": 3}

    def set_extra_state(self, state: object) -> None:
        raise ValueError(f"no step in {state}")


class Packed(Remembering):
    """Its extra state is bytes in a tensor, of any number."""

    def get_extra_state(self) -> Tensor:
        return torch.zeros(3)

    def set_extra_state(self, state: object) -> None:
        if not isinstance(state, Tensor) or state.numel() > 5:
            raise ValueError("more than five")


def _save(folder: Path, **more: Tensor) -> Path:
    tensors = nn.Linear(4, 2).state_dict()
    torch.save({**tensors, **more}, folder / "s.pt")
    return folder / "s.pt"


def _read_refusal(path: Path, factory: str, kwargs: dict[str, object] | None = None) -> str:
    with pytest.raises(SourceError, match=r"`.*s.pt` does not fit the model of") as refused:
        load(path, factory, kwargs, [files.ROWS])
    assert "--factory-kwargs" in (refused.value.hint or "")
    return str(refused.value)


def test_missing_extra_state_is_named(tmp_path: Path) -> None:
    assert 'Missing key(s) in state_dict: "_extra_state"' in _read_refusal(
        _save(tmp_path), f"{__name__}:Remembering"
    )


def test_extra_state_may_have_any_shape(tmp_path: Path) -> None:
    path = _save(tmp_path, _extra_state=torch.ones(5))
    assert isinstance(load(path, f"{__name__}:Packed", None, [files.ROWS]).model, Packed)


def test_extra_state_that_the_model_refuses_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path, _extra_state=torch.ones(6))
    assert _read_refusal(path, f"{__name__}:Packed").endswith("more than five")


def test_unfitting_tensors_are_named_in_one_line(tmp_path: Path) -> None:
    path = _save(tmp_path, weight=torch.zeros(3, 4), other=torch.zeros(1))
    said = _read_refusal(path, "torch.nn:Linear", {"in_features": 4, "out_features": 2})
    assert 'Unexpected key(s) in state_dict: "other"' in said
    assert "size mismatch for weight" in said
    assert said.isprintable()
