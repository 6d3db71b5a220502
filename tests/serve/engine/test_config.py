import os
from pathlib import Path

import pytest

from serve.engine.config import CONFIG_FILE, ModelConfig, override_config, read_config
from serve.engine.errors import ConfigError


def _read(folder: Path, text: str) -> ModelConfig:
    (folder / CONFIG_FILE).write_text(text)
    return read_config(folder / CONFIG_FILE, ModelConfig())


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    defaults = ModelConfig(batch_rows=7)
    assert read_config(tmp_path / CONFIG_FILE, defaults) is defaults


def test_a_file_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    read = _read(tmp_path, 'versions = "latest:2"\nbatching = "on"\nqueue_seconds = 1\nrequest_rows = 4\n')
    assert read == ModelConfig(versions="latest:2", batching="on", queue_seconds=1, request_rows=4)
    assert read.latest == 2
    assert ModelConfig().latest is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("batch_rows = 0", "`batch_rows` is `0`, expected a whole number from 1 to 65536"),
        ("batch_rows = 1.5", "expected a whole number"),
        ("batch_rows = true", "expected a whole number"),
        ('queue_seconds = "1"', "expected a number from 0.001 to 86400.0"),
        ("queue_seconds = nan", "expected a number"),
        ('pinned = "yes"', "`pinned` is `yes`, expected `true` or `false`"),
        ('batching = "maybe"', "expected one of: `auto`, `on`, `off`"),
        ("batching = [1]", "expected one of"),
        ('versions = "latest:0"', "expected `all` or `latest:n`"),
        ("versions = 3", "expected `all` or `latest:n`"),
        (
            "batch_size = 4",
            "unknown key `batch_size`; did you mean `batch_rows` or `batching`? known: `versions`, ",
        ),
        ("clases = []", "unknown key `clases`; did you mean `classes`?"),
        ("batch_rows =", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("#" + "x" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, text)
    assert reason in str(error.value)


def test_what_describes_the_model_is_not_how_it_is_served(tmp_path: Path) -> None:
    assert _read(tmp_path, 'batch_rows = 3\nclasses = ["a"]\n[preprocessing]\n') == ModelConfig(batch_rows=3)
    with pytest.raises(ConfigError, match="unknown key `classes`"):
        override_config({"classes": ["a"]}, ModelConfig())


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path / CONFIG_FILE, ModelConfig())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CONFIG_FILE)
    with pytest.raises(ConfigError, match="is a pipe"):
        read_config(tmp_path / CONFIG_FILE, ModelConfig())


def test_every_key_says_what_it_takes() -> None:
    for key in ModelConfig.__dataclass_fields__:
        with pytest.raises(ConfigError, match=f"`{key}` is `None`, expected "):
            override_config({key: None}, ModelConfig())


def test_the_configuration_of_a_request_is_checked_alike() -> None:
    assert override_config({"batch_rows": 3}, ModelConfig(request_rows=9)) == ModelConfig(
        batch_rows=3, request_rows=9
    )
    with pytest.raises(ConfigError, match="unknown key"):
        override_config({"nope": 1}, ModelConfig())
