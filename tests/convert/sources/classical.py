"""Classical models of scikit-learn, fitted and converted by skl2onnx, and graphs of trees written by hand."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TABLE = ("a", "b", "colour")


class Fitted(NamedTuple):
    """An estimator, its ONNX file, and rows that it takes."""

    estimator: Any
    proto: onnx.ModelProto
    rows: Any

    def write(self, path: Path) -> Path:
        """The file, written."""
        path.write_bytes(self.proto.SerializeToString())
        return path


@cache
def fit_forest() -> Fitted:
    """Five trees on iris, with whole numbers as classes."""
    rows, classes = load_iris(return_X_y=True)
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(rows.astype(np.float32), classes)
    proto = convert_sklearn(forest, initial_types=[("X", FloatTensorType([None, 4]))])
    return Fitted(forest, proto, rows.astype(np.float32))


@cache
def fit_table() -> Fitted:
    """Trees on two numbers and a text, an input each, with texts as classes."""
    numbers, classes = load_iris(return_X_y=True)
    rows = np.empty((len(classes), 3), object)
    rows[:, :2] = numbers[:, :2].astype(np.float32)
    rows[:, 2] = np.asarray(["red", "green", "blue"])[np.random.default_rng(0).integers(0, 3, len(classes))]
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), [0, 1]), ("texts", OneHotEncoder(handle_unknown="ignore"), [2])]
    )
    table = make_pipeline(columns, RandomForestClassifier(5, max_depth=4, random_state=0))
    table.fit(rows, np.asarray(["setosa", "versicolor", "virginica"])[classes])
    kinds = (FloatTensorType, FloatTensorType, StringTensorType)
    types = [(name, kind([None, 1])) for name, kind in zip(TABLE, kinds, strict=True)]
    return Fitted(table, convert_sklearn(table, initial_types=types), rows)


def make_stump(
    threshold: float, before: Sequence[onnx.NodeProto] = (), reads: str = "x", columns: int = 2
) -> onnx.ModelProto:
    """x [N, columns] -> y [N, 1]: 1 where column 1 of what it reads is at most the threshold, else 2."""
    stump = helper.make_node(
        "TreeEnsembleRegressor",
        [reads],
        ["y"],
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[threshold, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
        n_targets=1,
    )
    graph = helper.make_graph(
        [*before, stump],
        "stump",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)
