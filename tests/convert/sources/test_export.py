import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.artefact.file import serialise
from convert.errors import ExportError, UsageError
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.runtime import Session
from convert.sources.export import export

ROWS = parse_input("x:float32[N,4]")


class Returns(nn.Module):
    """A linear layer whose result is returned as the test wants it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.kind = kind

    def forward(self, x: Tensor) -> object:
        """[N, 4] -> [N, 2], wrapped."""
        y = self.linear(x)
        return {"dict": {"a": y, "b": y + 1}, "tuple": (y, y + 1), "number": 3, "mixed": [y, "y"]}[self.kind]


class Fixes(nn.Module):
    """Code that turns a free size into a number."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        return x.view(2, 4) + 1


class Add(nn.Module):
    """Two inputs that share a free size."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """[N, 4], [N, 1] -> [N, 4]."""
        return left + right


class Passes(nn.Module):
    """Returns what it is given, beside a result."""

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """[N] -> [N], [N]."""
        return ids, ids + 1


@pytest.mark.slow
def test_an_input_that_is_returned_keeps_its_name() -> None:
    graph = export(Passes(), [parse_input("ids:int64[N]")], ["same", "next"]).model
    assert [value.name for value in graph.graph.inputs] == ["ids"]
    results = Session(serialise(graph), ["ids"]).run([np.arange(3)])
    assert {name: value.tolist() for name, value in results.items()} == {"same": [0, 1, 2], "next": [1, 2, 3]}


@pytest.mark.slow
def test_names_and_free_sizes_are_as_requested() -> None:
    pair: list[InputSpec] = [parse_input("left:float32[rows,4]"), parse_input("right:float32[rows,1]")]
    graph = export(Add(), pair, ["sum"]).model.graph
    assert [(value.name, [str(size) for size in value.shape or ()]) for value in graph.inputs] == [
        ("left", ["rows", "4"]),
        ("right", ["rows", "1"]),
    ]
    assert [(value.name, [str(size) for size in value.shape or ()]) for value in graph.outputs] == [
        ("sum", ["rows", "4"])
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "names"), [("dict", ["a", "b"]), ("tuple", ["output_0", "output_1"])])
def test_several_outputs_get_names(kind: str, names: list[str]) -> None:
    assert [value.name for value in export(Returns(kind), [ROWS]).model.graph.outputs] == names


@pytest.mark.parametrize(
    ("kind", "reason"), [("number", "returns a `int`"), ("mixed", "returns a `str` at `output_1`")]
)
def test_other_results_are_refused(kind: str, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        export(Returns(kind), [ROWS])


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (["one"], "returns 2 outputs, expected 1"),
        (["a", "a"], "not distinct"),
        (["x", "b"], "both an input and an output"),
    ],
)
def test_wrong_output_names_are_wrong_use(outputs: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        export(Returns("tuple"), [ROWS], outputs)


def test_inputs_that_the_model_refuses_are_named() -> None:
    with pytest.raises(ExportError, match=r"cannot be run on x:float32\[N,5\]"):
        export(nn.Linear(4, 2), [parse_input("x:float32[N,5]")])


@pytest.mark.slow
def test_a_model_that_fixes_a_free_size_is_refused() -> None:
    with pytest.raises(ExportError, match=r"a static shape of 2 for dimension inputs\['x'\]") as refused:
        export(Fixes(), [ROWS])
    assert "\n" not in str(refused.value)
    assert "as a number" in str(refused.value.hint)


@pytest.mark.slow
def test_an_unexportable_operator_is_refused_in_one_line() -> None:
    class Unsupported(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = torch.special.bessel_j0(x)
            return result

    with pytest.raises(ExportError, match="torch cannot write the model as ONNX") as refused:
        export(Unsupported(), [ROWS])
    assert "\n" not in str(refused.value)


def test_an_opset_out_of_range_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="expected 17 to 23"):
        export(nn.Linear(4, 2), [ROWS], opset=7)


@pytest.mark.slow
def test_torch_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    export(nn.Linear(4, 2), [ROWS])
    assert capfd.readouterr() == ("", "")


class Recurrent(nn.Module):
    """A layer whose length torch fixes in the shapes that it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, 4] -> [N, T, 3]."""
        states: Tensor = self.layer(x)[0]
        return states


@pytest.mark.slow
def test_a_free_length_of_a_recurrent_layer_stays_free() -> None:
    short = parse_input("x:float32[N,T<=5,4]")  # torch unrolls the length of its example
    for _ in range(2):  # torch itself can do so once in a program
        graph = export(Recurrent().eval(), [short], ["y"]).model.graph
        assert [list(map(str, value.shape or ())) for value in graph.outputs] == [["N", "y_1", "3"]]


class Branches(nn.Module):
    """Code that computes in bfloat16, or branches on a number of its own."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 2]."""
        if self.kind == "bfloat16":
            return F.linear(x.bfloat16(), self.linear.weight.bfloat16()).float()
        y: Tensor = self.linear(x)
        if self.kind == "clamp":
            return y.clamp(-0.25, 1)
        return y * 2 if y.sum().item() > 0 else y


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason", "advice"),
    [
        ("bfloat16", "computes in bfloat16", "model.float()"),
        ("item", "data-dependent", "torch.where"),
        ("clamp", "aten.clamp", "clamp(-0.25, 1.0)"),
    ],
)
def test_a_refusal_has_a_hint(kind: str, reason: str, advice: str) -> None:
    with pytest.raises(ExportError, match=reason) as refused:
        export(Branches(kind), [ROWS])
    assert advice in str(refused.value.hint)
