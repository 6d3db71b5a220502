"""The numbers at which trees turn, traced to the inputs."""

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from convert.sources.thresholds import find_thresholds
from tests.convert.sources.classical import fit_forest, make_stump


def _constant(name: str, *numbers: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(numbers)))


def _scaler(offset: list[float], scale: list[float]) -> onnx.NodeProto:
    return helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=offset, scale=scale)


def _find(model: onnx.ModelProto) -> dict[str, tuple[tuple[float, ...], ...]]:
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    return find_thresholds(ir.from_proto(model))


@pytest.mark.parametrize(
    ("before", "reads", "expected"),
    [
        ([], "x", ((), (0.5,))),
        ([helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)], "c", ((), (0.5,))),
        ([_scaler([1.0, 3.0], [2.0, 4.0])], "s", ((), (3.125,))),
        ([_scaler([1.0], [2.0])], "s", ((), (1.25,))),
        ([_scaler([1.0, 3.0], [2.0, 0.0])], "s", {}),
        ([_constant("p", 1, 0), helper.make_node("Gather", ["x", "p"], ["g"], axis=1)], "g", ((0.5,), ())),
        ([helper.make_node("Concat", ["x", "x"], ["c"], axis=1)], "c", ((), (0.5,))),
        ([helper.make_node("Relu", ["x"], ["r"])], "r", {}),
    ],
)
def test_a_threshold_is_that_of_the_column_it_comes_from(
    before: list[onnx.NodeProto], reads: str, expected: object
) -> None:
    found = _find(make_stump(0.5, before, reads))
    assert found == ({"x": expected} if expected else {})


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_a_threshold_that_is_not_finite_is_none(number: float) -> None:
    assert _find(make_stump(number, [], "x")) == {}


def test_a_forest_has_the_thresholds_that_scikit_learn_has() -> None:
    fitted = fit_forest()
    expected: list[set[float]] = [set() for _ in range(4)]
    for tree in fitted.estimator.estimators_:
        for place, number in zip(tree.tree_.feature, tree.tree_.threshold, strict=True):
            if place >= 0:
                expected[place].add(float(number))
    model = onnx.ModelProto()
    model.CopyFrom(fitted.proto)
    del model.graph.output[1:]
    (found,) = _find(model).values()
    for own, numbers in zip(found, expected, strict=True):
        distances = np.abs(np.subtract.outer(sorted(numbers), own))
        assert distances.min(axis=0).max() < 1e-6
        assert distances.min(axis=1).max() < 1e-6


def test_columns_that_double_without_end_are_not_traced() -> None:
    names = ["x", *(f"c{place}" for place in range(40))]
    doubling = [
        helper.make_node("Concat", [own, own], [following], axis=1)
        for own, following in itertools.pairwise(names)
    ]
    assert _find(make_stump(0.5, doubling, names[-1])) == {}
