from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from convert.errors import ExportError, UsageError
from convert.model_io.outputs import name_outputs

A, B = torch.zeros(1), torch.ones(2)
Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Scores:
    """What a stranger's model may return."""

    scores: Tensor
    states: tuple[Tensor, ...] | None = None


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (A, ["output"]),
        ((A, B), ["output_0", "output_1"]),
        ((A, None), ["output_0"]),
        ({"a": A, "b": {"c": B}}, ["a", "b_c"]),
        (Pair(A, [B]), ["left", "right_0"]),
        (Scores(A), ["scores"]),
        (Scores(A, (A, B)), ["scores", "states_0", "states_1"]),
        (
            BaseModelOutput(last_hidden_state=A, hidden_states=(A, B)),
            ["last_hidden_state", "hidden_states_0", "hidden_states_1"],
        ),
    ],
)
def test_tensors_in_any_container_have_its_names(result: object, names: list[str]) -> None:
    assert list(name_outputs(result, None)) == names


def test_given_names_apply_in_order() -> None:
    found = name_outputs({"a": A, "b": (B, None)}, ["x", "y"])
    assert found["x"] is A
    assert found["y"] is B


@pytest.mark.parametrize("result", [3, None, (), {"a": "text"}, (A, object())])
def test_other_values_are_refused(result: object) -> None:
    with pytest.raises(ExportError, match="returns"):
        name_outputs(result, None)


def test_an_endless_container_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ExportError, match="returns a `list`"):
        name_outputs(endless, None)


def test_two_outputs_of_a_name_are_wrong_use() -> None:
    with pytest.raises(UsageError, match="not distinct"):
        name_outputs({"a_b": A, "a": {"b": B}}, None)


@pytest.mark.parametrize(
    ("result", "reason", "advice"),
    [
        (torch.ones(2, dtype=torch.bfloat16), "`y` is bfloat16, expected one of: float32", ".float()"),
        (torch.ones(2, dtype=torch.complex64), "`y` is complex64, expected one of: float32", "view_as_real"),
        (torch.ones(2).to_sparse(), "`y` is a sparse tensor", ".to_dense()"),
    ],
)
def test_types_that_onnx_runtime_lacks_are_refused(result: Tensor, reason: str, advice: str) -> None:
    with pytest.raises(ExportError, match=reason) as refused:
        name_outputs(result, ["y"])
    assert advice in str(refused.value.hint)
