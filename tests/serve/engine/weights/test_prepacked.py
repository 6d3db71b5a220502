import json
from pathlib import Path

import onnx
import pytest

from convert.manifest.entries import MANIFEST_KEY
from serve.engine import Engine
from serve.engine.loading import Cancellation
from serve.engine.model_files import open_files
from serve.engine.repository import ModelFile
from serve.engine.session import SessionOptions
from serve.engine.signature import Array
from serve.engine.weights import entry, prepacked
from serve.engine.weights.options import WeightsOptions
from serve.engine.weights.prepacked import SharedWeights
from tests.serve import models
from tests.serve.engine.conftest import Opened as OpenedEngines
from tests.serve.engine.repositories import load
from tests.serve.engine.weights.place import (
    EMPTY,
    SHAPES,
    Place,
    answer,
    make_model,
    make_quantised,
    refuse_to_make,
)


@pytest.mark.parametrize(
    "made",
    [*(make_model(text) for text in SHAPES if text != EMPTY), make_quantised()],
    ids=lambda made: made.graph.name,
)
def test_answers_are_those_of_the_file_bit_for_bit(place: Place, made: onnx.ModelProto) -> None:
    place.path.write_bytes(made.SerializeToString())
    plain = place.load_plainly()
    for session in (place.load(), place.load()):  # who makes the entry, and who finds it
        assert [answer(session, rows) for rows in (1, 3)] == [answer(plain, rows) for rows in (1, 3)]
        assert (session.signature, session.metadata) == (plain.signature, plain.metadata)
        assert session.sized_by_shapes == plain.sized_by_shapes
        assert session._aborts_on_empty == plain._aborts_on_empty
    assert None not in place.opened


def test_a_run_that_would_end_the_process_is_not_tried(place: Place) -> None:
    place.path.write_bytes(make_model(EMPTY).SerializeToString())
    for _ in range(2):
        place.load()
    assert None not in place.opened


def test_the_sizes_that_are_compared_are_those_that_the_file_allows(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_model()
    manifest = {"sizes": [{"name": "N", "low": 6, "high": None, "multiple": 1}]}
    made.metadata_props.add(key=MANIFEST_KEY, value=json.dumps(manifest))
    place.path.write_bytes(made.SerializeToString())
    compared: list[tuple[int, ...]] = []

    def note(first: Array, _: Array) -> bool:
        compared.append(first.shape)
        return True

    monkeypatch.setattr(prepacked, "_are_equal", note)
    place.load()
    assert compared == [(6, 40)]


def test_without_a_boot_id_an_entry_is_read_whole_and_used(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "BOOT", place.options.folder / "missing")
    place.load()
    refuse_to_make(monkeypatch)
    place.load()
    assert None not in place.opened


def test_external_weights_are_shared_too(place: Place) -> None:
    made = make_model()
    onnx.save_model(made, str(place.path), save_as_external_data=True, location="w.bin", size_threshold=0)
    plain = answer(place.load_plainly())
    assert [answer(place.load()), answer(place.load())] == [plain, plain]
    assert None not in place.opened


def test_the_second_process_finds_what_the_first_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.load()
    refuse_to_make(monkeypatch)
    session = place.load()
    assert "weights.bin" in Path("/proc/self/maps").read_text()
    del session


def test_files_are_read_whole_once_after_the_machines_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.load()
    monkeypatch.setattr(entry, "_digest", lambda path: pytest.fail(f"{path} is read"))
    place.load()
    boot = place.options.folder / "boot"
    boot.write_text("another start")
    monkeypatch.undo()
    monkeypatch.setattr(entry, "BOOT", boot)
    read: list[Path] = []
    digest = entry._digest

    def note(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(entry, "_digest", note)
    place.load()
    assert [path.name for path in read] == ["model.onnx", "weights.bin"]


def test_small_files_and_those_of_other_providers_are_left_alone(place: Place) -> None:
    large = SharedWeights(WeightsOptions(place.options.folder, 2**30))
    tight = SharedWeights(WeightsOptions(place.options.folder, 2**10, least_bytes=0))
    with open_files(ModelFile("m", "1", place.path), 2**30) as files:
        assert not large.suits(files)
        assert not tight.suits(files)
        assert (
            SharedWeights(place.options).open("0", files, SessionOptions(1, "cuda"), Cancellation()) is None
        )


def test_other_threads_and_other_files_have_other_entries(place: Place) -> None:
    place.load()
    place.load(SessionOptions(2))
    place.path.write_bytes(make_model(factor=2.0).SerializeToString())
    assert answer(place.load()) == answer(place.load_plainly())
    assert len(list(place.options.folder.glob("*/" + 64 * "?"))) == 3


def test_a_model_without_large_weights_is_loaded_as_it_is(place: Place) -> None:
    place.path.write_bytes(models.model(models.DOUBLE).SerializeToString())
    assert answer(place.load()) == answer(place.load()) == answer(place.load_plainly())


def test_overwriting_files_changes_nothing_that_serves(place: Place) -> None:
    session = place.load()
    right = answer(session)
    place.path.write_bytes(bytes(place.path.stat().st_size))
    for path in place.entry().iterdir():
        path.unlink()
    assert answer(session) == right


def test_an_engine_shares_weights_and_lets_go_of_them(opened: OpenedEngines, tmp_path: Path) -> None:
    models.put(tmp_path, "m", make_model())
    engine: Engine = opened(weights=WeightsOptions(tmp_path / ".cache", 2**30, least_bytes=0))
    assert _list_maps(tmp_path) == 1
    models.put(tmp_path, "m", make_model(factor=2.0), "2")
    load(engine)
    assert _list_maps(tmp_path) == 2


def _list_maps(folder: Path) -> int:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[4] for line in lines if str(folder) in line and "weights.bin" in line})


def test_an_engine_does_without_a_folder_that_has_gone(opened: OpenedEngines, tmp_path: Path) -> None:
    models.put(tmp_path, "m", make_model())
    (tmp_path / "file").touch()
    engine = opened(weights=WeightsOptions(tmp_path / "file", 2**30, least_bytes=0))
    assert engine.names() == ["m"]
