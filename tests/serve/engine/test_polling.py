import asyncio
import shutil
from pathlib import Path

import pytest

from tests.serve.engine.conftest import Opened
from tests.serve.engine.repositories import make_scaling_model, put_scaling_model, read_factor, read_states
from tests.waiting import until

POLL = 0.02


@pytest.mark.slow
def test_polling_finds_what_is_new_changed_and_gone(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=POLL)
    put_scaling_model(tmp_path, 3, name="other")
    until(lambda: engine.names() == ["m", "other"])
    put_scaling_model(tmp_path, 4)
    until(lambda: read_factor(engine) == 4)
    put_scaling_model(tmp_path, 5, "2")
    until(lambda: read_factor(engine) == 5)
    (tmp_path / "m" / "config.toml").write_text('versions = "latest:1"')
    until(lambda: engine.versions("m") == ["2"])
    shutil.rmtree(tmp_path / "m")
    until(lambda: engine.names() == ["other"])
    assert read_states(engine) == {("other", "1"): "READY"}


def test_polling_tries_a_broken_file_once_and_serves_on(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    path = put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=POLL)
    (tmp_path / "rubbish").write_bytes(b"rubbish")
    (tmp_path / "rubbish").replace(path)
    until(lambda: engine.index()[0].reason != "")
    asyncio.run(asyncio.sleep(5 * POLL))
    assert caplog.text.count("model `m` version `1` is refused") == 1
    assert read_factor(engine) == 2


def test_polling_waits_until_a_file_has_stopped_growing(tmp_path: Path, opened: Opened) -> None:
    engine = opened(may_start_empty=True)
    look = engine._lifecycle.follow_folder  # at a time of the test's own, and not of a clock's
    content = make_scaling_model(7).SerializeToString()
    path = tmp_path / "m" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    with path.open("wb", buffering=0) as stream:
        for byte in range(len(content)):
            stream.write(content[byte : byte + 1])
            look()
            assert engine.index() == []
    look()
    assert engine.names() == ["m"]
    assert read_factor(engine) == 7


def test_a_temporarily_unreadable_folder_changes_nothing(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    put_scaling_model(tmp_path / "models", 2)
    engine = opened(folder=tmp_path / "models", poll_seconds=POLL)
    (tmp_path / "models").rename(tmp_path / "away")
    until(lambda: "what is served stays" in caplog.text)
    assert read_factor(engine) == 2


def test_polling_goes_on_after_an_unforeseen_error(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=POLL)
    with monkeypatch.context() as patch:
        patch.setattr("serve.engine.lifecycle.find_models", lambda _: 1 / 0)
        until(lambda: "division by zero; what is served stays" in caplog.text)
    put_scaling_model(tmp_path, 3)
    until(lambda: read_factor(engine) == 3)
