from pathlib import Path

import pytest

from serve.options import make_engine_options
from serve.settings import Settings
from serve.workers.weights import settle_weights


@pytest.mark.parametrize(
    ("given", "workers", "settled"),
    [
        ("auto", 2, "caches/adaptact/weights"),
        ("auto", 1, ""),
        ("off", 2, ""),
        ("here", 1, "here"),
    ],
)
def test_weights_are_shared_where_there_are_several_workers_or_a_folder_is_named(
    given: str, workers: int, settled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.chdir(tmp_path)
    made = settle_weights(Settings(models=Path("m"), workers=workers, weights_cache=given))
    assert made.weights_cache == (str(tmp_path / settled) if settled else "off")


def test_a_gpu_has_no_use_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert settle_weights(Settings(models=Path("m"), workers=2, provider="cuda")).weights_cache == "off"
    assert not (tmp_path / "caches").exists()


def test_a_folder_that_cannot_be_used_is_said_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(models=Path("m"), workers=2, weights_cache=str(tmp_path / "file"))
    settled = settle_weights(settings)
    assert make_engine_options(settled).weights is None
    assert [record.message for record in caplog.records] == [
        "each worker has weights of its own; set `--weights-cache` to a folder that only this user may write "
        f"in, or `off`: `{tmp_path / 'file'}`: File exists"
    ]
