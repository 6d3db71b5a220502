from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.engine.errors import ModelRefusedError
from serve.engine.weights import entry, prepacked
from serve.engine.weights.folder import WeightsFolder
from serve.engine.weights.options import WeightsOptions
from tests.serve import models
from tests.serve.engine.weights.place import Place, answer, make_model, refuse_to_make


def _truncate(folder: Path) -> None:
    _rewrite(folder / "weights.bin", lambda content: content[:-4096])


def _flip(folder: Path) -> None:
    _rewrite(folder / "weights.bin", lambda content: content[:100] + b"\xff" + content[101:])


def _replace_model(folder: Path) -> None:
    _rewrite(folder / "model.onnx", lambda _: models.model(models.DOUBLE).SerializeToString())


def _lose_record(folder: Path) -> None:
    (folder / "record.json").unlink()


def _break_record(folder: Path) -> None:
    _rewrite(folder / "record.json", lambda _: b'{"digests": {}, "operators": [], "more": 1}')


def _empty_record(folder: Path) -> None:
    _rewrite(folder / "record.json", lambda _: b'{"digests": {}, "operators": []}')


def _list_digests(folder: Path) -> None:
    _rewrite(folder / "record.json", lambda _: b'{"digests": ["model.onnx", "weights.bin"], "operators": []}')


def _link(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "elsewhere")
    (folder / "weights.bin").symlink_to("elsewhere")


def _be_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("gone"))
    folder.write_text("no folder")


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.chmod(0o600)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        _replace_model,
        _lose_record,
        _break_record,
        _empty_record,
        _list_digests,
        _link,
        _be_a_file,
    ],
)
def test_a_damaged_entry_is_made_anew(
    place: Place, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    right = answer(place.load())
    damage(place.entry())
    assert answer(place.load()) == right
    assert "damaged, and made anew" in caplog.text
    caplog.clear()
    assert answer(place.load()) == right
    assert None not in place.opened
    assert not caplog.records


def test_one_of_several_that_come_at_once_makes_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.options = WeightsOptions(place.options.folder, 2**30, least_bytes=0)  # waits for long
    made = []
    save = prepacked._save

    def note(folder: Path, *others: object) -> object:
        made.append(folder)
        return save(folder, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(prepacked, "_save", note)
    with ThreadPoolExecutor(4) as threads:
        sessions = list(threads.map(lambda _: place.load(), range(4)))
    assert len(set(map(repr, map(answer, sessions)))) == 1
    assert len(made) == 1
    assert None not in place.opened


def test_who_makes_it_is_waited_for_only_so_long(place: Place) -> None:
    right = answer(place.load())
    key = place.entry().name
    with WeightsFolder(place.options.folder, 1).try_lock(key, alone=True):
        assert answer(place.load()) == right
    assert place.opened[-1] is None


@pytest.mark.parametrize(
    "fails",
    [
        OSError(28, "No space left on device"),
        RuntimeError("cannot write"),
        entry.DamagedEntryError("half-written"),
    ],
)
def test_where_it_cannot_be_written_the_model_is_loaded_as_it_is(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise fails

    monkeypatch.setattr(prepacked, "write_record", fail)
    assert answer(place.load()) == answer(place.load_plainly())
    assert "are not shared" in caplog.text
    assert list(place.options.folder.glob("*/" + 64 * "?" + "*[!k]")) == []


def test_what_a_killed_process_left_takes_no_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.load()
    entry = place.entry()
    entry.rename(entry.with_name(f"{entry.name}.new"))
    monkeypatch.setattr(WeightsFolder, "has_room", lambda *_: not list(entry.parent.glob("*.new")))
    place.load()
    assert None not in place.opened


def test_a_whole_entry_is_used_though_the_disk_is_full(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.load()
    (place.entry().parent / f"{place.entry().name}.lock").write_text("")  # as after a start of the machine

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    refuse_to_make(monkeypatch)
    place.load()
    assert None not in place.opened


def test_a_full_disk_is_not_written_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsFolder, "has_room", lambda *_: False)
    refuse_to_make(monkeypatch)
    assert answer(place.load()) == answer(place.load_plainly())


def test_a_model_whose_answers_would_differ_is_loaded_as_it_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepacked, "_are_equal", lambda *_: False)
    right = answer(place.load_plainly())
    assert answer(place.load()) == right
    monkeypatch.undo()
    refuse_to_make(monkeypatch)  # it is remembered
    assert answer(place.load()) == right
    assert place.opened[-1] is None


def test_a_file_that_changes_while_it_is_made_is_not_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, save = place.path.read_bytes(), prepacked._save

    def change(*given: object) -> object:
        place.path.write_bytes(make_model(factor=2.0).SerializeToString())
        return save(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(prepacked, "_save", change)
    with pytest.raises(ModelRefusedError, match="changed while it was loaded"):
        place.load()
    monkeypatch.undo()
    place.path.write_bytes(original)
    assert answer(place.load()) == answer(place.load_plainly())
