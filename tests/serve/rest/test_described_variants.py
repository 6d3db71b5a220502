"""Variants whose descriptions differ: each reads instances by its own."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serve.engine import Metrics, open_engine
from serve.experiments.store.tables import inferences
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.experiments.store.rows import read_rows
from tests.serve.rest.trials import DEFINITION, Served, serve
from tests.serve.rollout.variants import put_variants
from tests.waiting import until

PREDICT = "/v1/models/digits:predict"
ROW = {"a": 1, "b": 2, "c": 3}
TWIN = DEFINITION.replace("version: 2", "model: twin")


@contextmanager
def described(
    tmp_path: Path, metrics: Metrics, control: str, candidate: str, definition: str = TWIN
) -> Iterator[Served]:
    """`digits`, which doubles, and `twin`, which triples, with these texts as their `config.toml`."""
    folder = tmp_path / "models"
    put_variants(folder)
    for name, text in (("digits", control), ("twin", candidate)):
        (folder / name / "config.toml").write_text(text)
    engine = open_engine(options(folder), metrics)
    engine.point_alias("digits", "stable", "1")
    with serve(engine, tmp_path, definition) as served:
        yield served
    engine.close()


def columns(names: str) -> str:
    return f"columns = {list(names)}"


def ask(served: Served, unit: str, instance: Any = ROW) -> Any:
    return served.ask(PREDICT, {"instances": [instance]}, x_adaptact_unit=unit)


def test_columns_are_those_of_the_variant_that_answers(tmp_path: Path, metrics: Metrics) -> None:
    with described(tmp_path, metrics, columns("abc"), columns("cba")) as served:
        assert ask(served, "bert").json()["predictions"] == [[2, 4, 6]]
        assert ask(served, "anna").json()["predictions"] == [[9, 6, 3]]
        # Lists are without names, and so the same for both.
        assert ask(served, "anna", [1, 2, 3]).json()["predictions"] == [[3, 6, 9]]


def test_a_mirrored_request_is_read_by_the_candidates_description(tmp_path: Path, metrics: Metrics) -> None:
    definition = TWIN.replace("shadow_share: 0", "shadow_share: 1")
    with described(tmp_path, metrics, columns("abc"), columns("cba"), definition) as served:
        assert ask(served, "carl").json()["predictions"] == [[2, 4, 6]]
        until(lambda: served.rollout.trials.mirrored.done == 1)
        served.close()
        stored = read_rows(served.rollout.store, inferences, "variant", "is_shadow", "top1")
        assert sorted(stored) == [("candidate", 1, 0), ("control", 0, 2)]


@pytest.mark.parametrize("on_error", ["return", "control"])
def test_what_only_the_variant_cannot_read_is_its_failure(
    tmp_path: Path, metrics: Metrics, on_error: str
) -> None:
    definition = TWIN + f"    on_error: {on_error}\n"
    with described(tmp_path, metrics, columns("abc"), columns("abd"), definition) as served:
        answer = ask(served, "anna")
        assert answer.headers["x-adaptact-variant"] == "candidate"
        if on_error == "control":
            assert answer.json()["predictions"] == [[2, 4, 6]]
        else:
            assert (answer.status_code, "`d`" in answer.json()["error"]) == (400, True)
        assert served.rollout.trials.metrics.find("exp", "candidate").count()["failed"] == 1


def test_what_no_variant_can_read_is_nobodys_failure(tmp_path: Path, metrics: Metrics) -> None:
    with described(tmp_path, metrics, columns("abc"), columns("cba")) as served:
        for unit in ("anna", "bert"):
            answer = ask(served, unit, {"colour": 1})
            assert (answer.status_code, "`a`" in answer.json()["error"]) == (400, True)
        for variant in ("candidate", "control"):
            counts = served.rollout.trials.metrics.find("exp", variant).count()
            assert (counts["answered"], counts["failed"]) == (0, 0)


def test_images_are_prepared_as_the_variant_was_trained(tmp_path: Path, metrics: Metrics) -> None:
    folder, stream = tmp_path / "models", io.BytesIO()
    for name, mean in (("photos", 1.0), ("sharper", 0.5)):
        models.put(folder, name, models.model(models.PHOTOS))
        (folder / name / "config.toml").write_text(f"[preprocessing]\nmean = [{mean}, 0, 0]\n")
    engine = open_engine(options(folder), metrics)
    definition = DEFINITION.replace("model: digits", "model: photos").replace("version: 2", "model: sharper")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(stream, "PNG")
    image = {"instances": [{"b64": base64.b64encode(stream.getvalue()).decode()}]}
    with serve(engine, tmp_path, definition) as served:
        red = {}
        for unit in ("anna", "bert"):
            answer = served.ask("/v1/models/photos:predict", image, x_adaptact_unit=unit)
            red[unit] = answer.json()["predictions"][0][0][0][0]
    engine.close()
    assert red == {"anna": 0.5, "bert": 0.0}
