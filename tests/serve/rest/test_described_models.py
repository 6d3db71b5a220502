"""What lies beside a model, over HTTP: texts, rows of a table, images, names."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serve import models
from tests.serve.in_process import Client
from tests.serve.tokenizers import make_tokenizer, put_tokenizer, texts_model, truncate

DESCRIBED = "/v2/models/double"


def _load(client: Client, name: str) -> None:
    response = client.post(f"/v2/repository/models/{name}/load")
    assert response.status_code == 200, response.text


def _predict(client: Client, name: str, *instances: Any) -> Any:
    response = client.post(f"/v1/models/{name}:predict", {"instances": list(instances)})
    return (
        response.json() if response.status_code == 200 else (response.status_code, response.json()["error"])
    )


def _configure(folder: Path, text: str, name: str = "double") -> None:
    (folder / name / "config.toml").write_text(text)


def _image() -> dict[str, str]:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(stream, "PNG")
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def test_what_holds_and_where_it_was_read_is_in_the_metadata(changing: Path, fresh: Client) -> None:
    assert "description" not in fresh.get(DESCRIBED).json()
    _configure(changing, 'classes = ["a", "b", "c"]\noutputs = ["scores"]\ncolumns = ["r", "g", "b"]\n')
    _load(fresh, "double")
    metadata = fresh.get(DESCRIBED).json()
    assert metadata["outputs"][0]["name"] == "scores"
    assert metadata["description"] == {
        "classes": {"value": ["a", "b", "c"], "origin": "config.toml"},
        "columns": {"value": ["r", "g", "b"], "origin": "config.toml"},
        "outputs": {"value": ["scores"], "origin": "config.toml"},
    }
    assert _predict(fresh, "double", {"b": 9, "g": 1, "r": 2}) == {
        "predictions": [[4.0, 2.0, 18.0]],
        "labels": ["c"],
    }
    asked = {
        "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
        "outputs": [{"name": "scores"}],
    }
    assert fresh.post("/v2/models/double/infer", asked).json()["outputs"][0]["data"] == [2.0, 4.0, 6.0]


def test_a_description_that_goes_away_holds_no_more(changing: Path, fresh: Client) -> None:
    _configure(changing, 'classes = ["a", "b", "c"]')
    _load(fresh, "double")
    assert _predict(fresh, "double", [1, 2, 3])["labels"] == ["c"]
    _configure(changing, 'classes = ["a"]')
    response = fresh.post("/v2/repository/models/double/load")
    assert (response.status_code, "1 classes are named" in response.json()["error"]) == (400, True)
    assert _predict(fresh, "double", [1, 2, 3])["labels"] == ["c"]
    (changing / "double" / "config.toml").unlink()
    _load(fresh, "double")
    assert "labels" not in _predict(fresh, "double", [1, 2, 3])


def test_an_image_without_a_description_is_refused_with_what_to_do(changing: Path, fresh: Client) -> None:
    models.put(changing, "photos", models.model(models.PHOTOS))
    _load(fresh, "photos")
    status, error = _predict(fresh, "photos", _image())
    assert (status, "the model does not say how an image becomes its input" in error) == (501, True)
    _configure(changing, "[preprocessing]\nmean = [1, 0, 0]\n", "photos")
    _load(fresh, "photos")
    ((channels,),) = (_predict(fresh, "photos", _image())["predictions"],)
    assert [channel[0][0] for channel in channels] == [0.0, 0.0, 0.0]


def test_texts_are_answered_once_a_tokenizer_lies_beside_the_model(changing: Path, fresh: Client) -> None:
    pytest.importorskip("tokenizers")
    models.put(changing, "texts", texts_model())
    _load(fresh, "texts")
    status, error = _predict(fresh, "texts", "good film")
    assert (status, "once its `tokenizer.json` lies beside it" in error) == (501, True)
    path = put_tokenizer(changing / "texts" / "tokenizer.json", make_tokenizer(truncation=truncate(4)))
    _load(fresh, "texts")
    answer = _predict(fresh, "texts", "good film", "bad", "a b a b")
    ids = [[token[0] for token in row] for row in answer["predictions"]]
    assert ids == [[2, 6, 8, 3], [2, 7, 3, 0], [2, 4, 5, 3]]
    assert answer["truncated"] == [2]
    pair = _predict(fresh, "texts", {"text": "a", "text_pair": "b"})
    assert "truncated" in pair
    tensors = {"input_ids": [1, 2], "attention_mask": [1, 1], "token_type_ids": [0, 0]}
    assert _predict(fresh, "texts", tensors)["predictions"] == [[[1, 1, 0], [2, 1, 0]]]
    path.write_text("{}")
    response = fresh.post("/v2/repository/models/texts/load")
    assert (response.status_code, "`tokenizer.json` cannot be read" in response.json()["error"]) == (
        422,
        True,
    )
    assert "predictions" in _predict(fresh, "texts", "a")
    path.unlink()
    _load(fresh, "texts")
    assert _predict(fresh, "texts", "a")[0] == 501


def test_a_text_for_a_model_of_numbers_says_what_to_do(client: Client) -> None:
    status, error = _predict(client, "double", "some text")
    assert (status, "is a text, and the model takes none" in error) == (501, True)
    assert _predict(client, "identity-BYTES", ["a", "b"]) == {"predictions": [["a", "b"]]}
