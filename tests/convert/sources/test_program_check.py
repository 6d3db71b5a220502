import json
from typing import Any

import pytest

from convert.sources.program_check import find_unsafe


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s54', positive=True, integer=True)",
        "Mul(Integer(8), Symbol('s27', positive=True, integer=True))",
        "Pow(Symbol('s0', positive=True, integer=True), Integer(2))",
        "s0*4 + FloorDiv(s1, 2) - 1",
        "Max(s0, 3) <= u12",
        "12",
    ],
)
def test_arithmetic_on_free_sizes_is_safe(text: str) -> None:
    assert find_unsafe({"expr_str": text}) is None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "s0.__class__",
        "eval('1')",
        "9**9**9**9",
        "Pow(Integer(9), Integer(999999999))",
        "lambda: 1",
        "[s0 for s0 in s1]",
        "Symbol('s0'); s1",
        "s0" + "+s0" * 1000,
        "9" * 30,
    ],
)
def test_any_other_expression_is_unsafe(text: str) -> None:
    assert find_unsafe({"expr_str": text}) is not None


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.add.Tensor",
        "torch.ops.higher_order.cond",
        "torch.sym_max",
        "_operator.floordiv",
        "math.ceil",
    ],
)
def test_operators_are_safe(target: str) -> None:
    assert find_unsafe({"nodes": [{"target": target}]}) is None


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.load",
        "torch.ops.load_library",
        "_operator.call",
        "math.factorial",
        "#x",
        "torch.hub.load",
        "torch.ops.aten.from_file.out",
        "torch.ops.aten._sparse_coo_tensor_unsafe.default",
    ],
)
def test_any_other_function_is_unsafe(target: str) -> None:
    assert find_unsafe({"nodes": [{"target": target}]}) is not None


@pytest.mark.parametrize("name", ["x=__import__('os')", "x\ny", "a b", "é"])
@pytest.mark.parametrize("place", ["name", "key", "list"])
def test_a_name_that_could_be_code_is_unsafe(name: str, place: str) -> None:
    document: dict[str, Any] = {"name": {"name": name}, "key": {name: 1}, "list": {"a": [[name]]}}
    assert find_unsafe(document[place]) is not None


def test_a_literal_may_be_any_text() -> None:
    assert find_unsafe({"as_string": "x = 1; y", "metadata": {"stack_trace": 'File "a.py", line 1'}}) is None


def _make_spec(kind: str | None) -> str:
    return json.dumps([1, {"type": kind, "context": None, "children_spec": []}])


def test_only_plain_containers_are_safe() -> None:
    assert find_unsafe({"in_spec": _make_spec("builtins.dict")}) is None
    for kind in ("collections.defaultdict", "some.Class"):
        assert find_unsafe({"out_spec": _make_spec(kind)}) is not None
    for text in ("", "[", "[1]", '[1, {"type": null}]', "[" * 100_000):
        assert find_unsafe({"out_spec": text}) is not None
