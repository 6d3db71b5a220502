"""Rows of a table by column names, to models as scikit-learn and skl2onnx make them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serve import models
from tests.serve.in_process import Client

skl2onnx = pytest.importorskip("skl2onnx")
ROWS = [
    {"age": 31.0, "income": 4.5, "city": "Kyoto"},
    {"age": 64.0, "income": 0.5, "city": "Bergen"},
    {"age": 18.0, "income": 1.5, "city": "Kyoto"},
]


def _train() -> Any:
    """A pipeline with a column of texts, which it has three rows of."""
    from sklearn.compose import make_column_transformer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    columns = make_column_transformer(
        (StandardScaler(), [0, 1]), (OneHotEncoder(handle_unknown="ignore"), [2])
    )
    table = np.array([list(row.values()) for row in ROWS], object)
    return make_pipeline(columns, LogisticRegression()).fit(table, ["yes", "no", "yes"]), table


@pytest.mark.slow
def test_a_pipeline_with_an_input_for_each_column_takes_rows(changing: Path, fresh: Client) -> None:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: PLC0415

    pipeline, table = _train()
    inputs = [
        ("age", FloatTensorType([None, 1])),
        ("income", FloatTensorType([None, 1])),
        ("city", StringTensorType([None, 1])),
    ]
    made = skl2onnx.convert_sklearn(pipeline, initial_types=inputs, options={"zipmap": False})
    models.put(changing, "people", made)
    assert fresh.post("/v2/repository/models/people/load").status_code == 200
    reply = fresh.post("/v1/models/people:predict", {"instances": ROWS})
    names = [output.name for output in made.graph.output]
    answers = reply.json()["predictions"]
    assert [answer[names[0]] for answer in answers] == ["yes", "no", "yes"]
    np.testing.assert_allclose(
        [answer[names[1]] for answer in answers], pipeline.predict_proba(table), rtol=1e-4
    )
    wrong = fresh.post("/v1/models/people:predict", {"instances": [*ROWS, {**ROWS[0], "age": "31"}]})
    assert wrong.status_code == 400
    assert wrong.json()["error"].startswith(
        "`instances[3]`: `age` is the text `31`, expected a number (`FP32`)"
    )


@pytest.mark.slow
def test_a_forest_with_one_input_takes_rows_once_its_columns_are_named(changing: Path, fresh: Client) -> None:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415

    table = np.array([[row["age"], row["income"]] for row in ROWS], np.float32)
    forest = RandomForestRegressor(3, random_state=0).fit(table, [1.0, 2.0, 3.0])
    models.put(changing, "forest", to_onnx(forest, table[:1]))
    rows = [{"income": row["income"], "age": row["age"]} for row in ROWS]
    assert fresh.post("/v2/repository/models/forest/load").status_code == 200
    refused = fresh.post("/v1/models/forest:predict", {"instances": rows})
    assert "`columns` in the `config.toml` in its folder gives them" in refused.json()["error"]
    (changing / "forest" / "config.toml").write_text('columns = ["age", "income"]')
    assert fresh.post("/v2/repository/models/forest/load").status_code == 200
    reply = fresh.post("/v1/models/forest:predict", {"instances": rows})
    np.testing.assert_allclose(np.ravel(reply.json()["predictions"]), forest.predict(table), rtol=1e-5)
