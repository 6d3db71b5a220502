import asyncio
import shutil
from pathlib import Path

import pytest

from serve.engine import aliases
from serve.engine.errors import AliasError, ModelUnavailableError, StateError
from tests.serve.engine.conftest import Opened
from tests.serve.engine.repositories import load, put_scaling_model, read_factor


def test_an_alias_names_a_version_and_stable_is_the_default(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 1, "1")
    put_scaling_model(tmp_path, 2, "2")
    engine = opened()
    asyncio.run(engine.set_alias("m", "candidate", "2"))
    assert (read_factor(engine), read_factor(engine, "candidate")) == (2, 2)
    asyncio.run(engine.set_alias("m", "stable", "1"))
    assert (read_factor(engine), read_factor(engine, "stable"), read_factor(engine, "2")) == (1, 1, 2)
    assert engine.aliases("m") == {"candidate": "2", "stable": "1"}
    asyncio.run(engine.remove_alias("m", "stable"))
    assert read_factor(engine) == 2
    with pytest.raises(AliasError, match="has no alias `stable`"):
        asyncio.run(engine.remove_alias("m", "stable"))


@pytest.mark.parametrize(
    ("name", "alias", "version", "reason"),
    [
        ("m", "stable", "9", "cannot mean version `9` of model `m`, which does not serve; versions: `1`"),
        ("nope", "stable", "1", "which does not serve; versions: none"),
        ("m", "7", "1", "expected 1 to 32 lower-case letters"),
        ("m", "a" * 33, "1", "expected 1 to 32 lower-case letters"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(
    tmp_path: Path, opened: Opened, name: str, alias: str, version: str, reason: str
) -> None:
    put_scaling_model(tmp_path, 1)
    engine = opened()
    with pytest.raises(AliasError, match=reason):
        asyncio.run(engine.set_alias(name, alias, version))


def test_an_alias_does_not_turn_into_another_version(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 1, "1")
    put_scaling_model(tmp_path, 2, "2")
    engine = opened()
    asyncio.run(engine.set_alias("m", "stable", "1"))
    shutil.rmtree(tmp_path / "m" / "1")
    load(engine)
    for version in ("stable", None):
        with pytest.raises(
            ModelUnavailableError, match="`m` has no version `1`, which its alias `stable` means"
        ):
            engine.model("m", version)
    assert not engine.ready
    assert read_factor(engine, "2") == 2


def test_aliases_outlive_the_engine(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path / "models", 1, "1")
    put_scaling_model(tmp_path / "models", 2, "2")
    kept = {"folder": tmp_path / "models", "state_folder": tmp_path / "state"}
    asyncio.run(opened(**kept).set_alias("m", "stable", "1"))
    assert read_factor(opened(**kept)) == 1
    assert read_factor(opened(folder=tmp_path / "models")) == 2
    (tmp_path / "state" / "aliases.json").write_text("[]")
    with pytest.raises(StateError, match="is not a table of aliases"):
        opened(**kept)


def test_no_more_aliases_are_kept_than_can_be_read_again(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_scaling_model(tmp_path, 1)
    kept = {"state_folder": tmp_path / "state"}
    engine = opened(**kept)
    monkeypatch.setattr(aliases, "MAX_FILE_BYTES", 100)
    engine.point_alias("m", "stable", "1")
    with pytest.raises(StateError, match="is full; remove aliases first"):
        engine.point_alias("m", "a" * 32, "1")
    assert engine.aliases("m") == opened(**kept).aliases("m") == {"stable": "1"}


def test_an_alias_that_cannot_be_kept_is_not_set(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path / "models", 1)
    engine = opened(folder=tmp_path / "models", state_folder=tmp_path / "state")
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match="cannot be written"):
        asyncio.run(engine.set_alias("m", "stable", "1"))
    assert engine.aliases("m") == {}


def test_stable_stays_as_the_latest_change_left_it(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path / "models", 1, "1")
    put_scaling_model(tmp_path / "models", 2, "2")
    kept = {"folder": tmp_path / "models", "state_folder": tmp_path / "state"}
    engine = opened(**kept)
    engine.point_alias("m", "stable", "1")
    since = engine.alias_since("m")
    engine.point_alias("m", "stable", "2", since - 1)
    assert engine.aliases("m") == {"stable": "1"}
    engine.point_alias("m", "stable", "2", since + 10**9)
    # Whoever asks now asks last, whatever the clock says.
    asyncio.run(engine.set_alias("m", "stable", "1"))
    assert engine.aliases("m") == {"stable": "1"}
    assert opened(**kept).alias_since("m") == engine.alias_since("m") > since + 10**9
    asyncio.run(engine.remove_alias("m", "stable"))
    removed = opened(**kept)
    removed.point_alias("m", "stable", "2", since)
    assert removed.aliases("m") == {}


def test_aliases_of_a_file_without_times_are_read(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path / "models", 1, "1")
    kept = {"folder": tmp_path / "models", "state_folder": tmp_path / "state"}
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "aliases.json").write_text('{"m": {"stable": "1"}, "aliases": {"x": "1"}}')
    engine = opened(**kept)
    assert (engine.aliases("m"), engine.alias_since("m")) == ({"stable": "1"}, 0)
