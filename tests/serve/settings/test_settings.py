import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import serve
from serve.settings import Settings, settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ADAPTACT_{name.upper()}", raising=False)


def test_only_the_models_folder_must_be_given() -> None:
    assert [name for name, field in Settings.model_fields.items() if field.is_required()] == ["models"]
    made = Settings(models=Path("m"))
    assert (made.host, made.port, made.body_limit_bytes) == ("127.0.0.1", 8000, 64 * 2**20)


def test_arguments_beat_the_environment_and_that_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("adaptact.toml").write_text('models = "file"\nhost = "file"\nport = 1\n')
    monkeypatch.setenv("ADAPTACT_HOST", "environment")
    monkeypatch.setenv("ADAPTACT_PORT", "2")
    made = Settings(port=3)  # type: ignore[call-arg]  # models comes from the file
    assert (made.port, made.host, made.models) == (3, "environment", Path("file"))


def test_an_unknown_setting_in_the_file_is_refused() -> None:
    Path("adaptact.toml").write_text('models = "m"\nprot = 1\n')
    with pytest.raises(ValidationError, match="prot"):
        Settings()  # type: ignore[call-arg]  # models comes from the file


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536),
        ("port", -1),
        ("provider", "tpu"),
        ("body_limit_mib", 0),
        ("log_level", "loud"),
        ("threads", -1),
        ("versions", "latest:0"),
        ("versions", "all, please"),
        ("batching", "sometimes"),
        ("batch_rows", 0),
        ("queue_length", 0),
        ("queue_seconds", 0),
        ("poll_seconds", -1),
        ("cuda_graph_rows", "1,,2"),
        ("cuda_graph_rows", "0"),
        ("stop_grace_seconds", 86_401),
        ("model_memory", "much"),
        ("model_memory", "0"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({"models": "m", name: value})


def test_a_variable_that_the_console_names_is_no_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(str(serve.__file__)).parent / "console" / "pages" / "try" / "request.js"
    names = re.findall(r"ADAPTACT_\w+", page.read_text(encoding="utf-8"))
    assert names
    for name in names:
        monkeypatch.setenv(name, "secret")
    assert Settings(models=Path("m")).keys is None


@pytest.mark.parametrize(
    ("cores", "threads", "concurrency", "expected"),
    [
        (1, 0, 0, (1, 1)),
        (2, 0, 0, (1, 2)),
        (8, 0, 0, (4, 2)),
        (32, 0, 0, (4, 8)),
        (8, 8, 0, (8, 1)),
        (8, 16, 0, (16, 1)),
        (8, 2, 3, (2, 3)),
    ],
)
def test_runs_at_once_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, concurrency: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(settings, "available_cores", lambda: cores)
    made = Settings(models=Path("m"), threads=threads, concurrency=concurrency)
    assert (made.run_threads, made.run_concurrency) == expected


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [(2, 2, (1, 1)), (4, 4, (1, 1)), (8, 4, (2, 1)), (16, 4, (4, 1)), (64, 4, (4, 4)), (2, 8, (1, 1))],
)
def test_the_runs_of_all_workers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(settings, "available_cores", lambda: cores)
    made = Settings(models=Path("m"), workers=workers)
    assert (made.run_threads, made.run_concurrency) == expected


@pytest.mark.parametrize(
    "variable", ["ADAPTACT_QUEUE_LENGHT", "adaptact_Queue_length_", "ADAPTACT_QUEUELENGTH"]
)
def test_a_variable_that_is_almost_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "3")
    with pytest.raises(ValidationError) as error:
        Settings(models=Path("m"))
    (problem,) = error.value.errors()
    assert (problem["loc"], problem["input"]) == (("queue_length",), "3")
    assert problem["msg"] == f"`{variable}` is no setting, expected `ADAPTACT_QUEUE_LENGTH`"


@pytest.mark.parametrize(
    "variable",
    [
        "ADAPTACT_API_KEY",
        "ADAPTACT_KEY_PASSWORD",
        "ADAPTACT_SERVICE_PORT",
        "ADAPTACT_PORT_8000_TCP",
        "QUEUE_LENGHT",
    ],
)
def test_a_variable_that_others_read_is_left_alone(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "x")
    Settings(models=Path("m"))


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEYS", "GRPC_PORT", "HOST", "QUEUE_LENGHT"):
        monkeypatch.setenv(f"ADAPTACT_{name}", "")
    made = Settings(models=Path("m"))
    assert (made.keys, made.grpc_port, made.host) == (None, 0, "127.0.0.1")
