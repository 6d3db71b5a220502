import http.client
import inspect
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serve.access.keys import format_key
from serve.cli import OWN_DESCRIPTORS, describe_setting, main, serve
from serve.settings import Settings, find_panel
from serve.workers.listener import listen
from tests.serve import models
from tests.serve.commands import Command, make_command
from tests.serve.process import COMMAND, ServerProcess, free_port
from tests.waiting import SECONDS, until


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process and an empty folder, with arguments by which it ends before it serves."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ADAPTACT_")]:
        monkeypatch.delenv(name)
    for name, value in {"COLUMNS": "200", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    return make_command("adaptact-serve", main, monkeypatch, capsys)


def test_help_lists_every_setting_with_its_default_and_meaning(command: Command) -> None:
    ended = command("--help")
    assert ended.status == 0
    text = re.sub(r"[│\s]+", " ", ended.out)
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert describe_setting(field) in text
        assert find_panel(name) in text
    assert "--port <int> Port to listen on; 0 picks a free one. Default: 8000." in text
    assert "--models <path> Folder of models. Required." in text


@pytest.mark.parametrize("name", ["stall_seconds", "port"])
def test_every_setting_is_an_environment_variable_too(command: Command, name: str) -> None:
    ended = command("--models", "m", **{f"ADAPTACT_{name.upper()}": "-1"})
    assert ended.status == 2
    assert f"`--{name.replace('_', '-')}` has a wrong value `-1" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: `--models` is missing; expected: Folder of models."),
        (["--models", "m", "--port", "70000"], "error: `--port` has a wrong value `70000`"),
        (["--models", "m", "--port", "many"], "'--port'"),
        (["--models", "m", "--provider", "tpu"], "tpu"),
        (["--nonsense"], "--nonsense"),
        (
            ["--models", "m", "--source", "oci://ann:secret@host/a:1"],
            "error: `--source` has a wrong value `oci://…@host/a:1`: an address holds no password",
        ),
        (["--models", "m", "--source", "s3://"], "expected the name of a bucket, or of a registry"),
        (["--models", "m", "--source", "oci://host:99999/a:1"], "Port out of range"),
        (
            ["--models", "m", "--model-memory", "4G5"],
            "`--model-memory` has a wrong value `4G5`: `4G5` is no size",
        ),
    ],
)
def test_wrong_use_ends_with_2_and_says_so(command: Command, arguments: list[str], message: str) -> None:
    ended = command(*arguments)
    assert ended.status == 2
    assert message in ended.err


def test_a_wrong_line_in_the_file_is_wrong_use(command: Command) -> None:
    Path("adaptact.toml").write_text('models = "m"\nprot = 1\n')
    ended = command()
    assert ended.status == 2
    assert "error: `adaptact.toml` has an unknown setting `prot`" in ended.err


@pytest.mark.parametrize("text", ["models = ", "\x00"])
def test_a_file_that_is_no_toml_is_wrong_use(command: Command, text: str) -> None:
    Path("adaptact.toml").write_text(text)
    ended = command()
    assert ended.status == 2
    assert ended.err.startswith("error: `adaptact.toml` cannot be read: ")


def _failure(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [str(COMMAND), "--models", "models", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("ADAPTACT_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.mark.slow
def test_a_missing_folder_is_a_failure(tmp_path: Path) -> None:
    assert _failure(tmp_path, "--port", "0") == (
        "error: models folder `models` does not exist or is not a folder\n"
    )


@pytest.mark.slow
def test_a_folder_without_usable_models_is_a_failure(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "a", b"rubbish")
    models.put(tmp_path / "models", "b", b"rubbish", "2")
    last = _failure(tmp_path, "--port", "0").splitlines()[-1]
    assert last == (
        "error: no model in `models` can be served: `a` version `1`: ONNX Runtime cannot load it; "
        "`b` version `2`: ONNX Runtime cannot load it"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "has_keys", "is_warned"),
    [("0.0.0.0", False, True), ("0.0.0.0", True, False), ("127.0.0.1", False, False)],
)
def test_a_host_that_is_open_to_all_is_warned_of(
    tmp_path: Path, host: str, has_keys: bool, is_warned: bool
) -> None:
    models.put(tmp_path / "models", "a", b"rubbish")
    (tmp_path / "keys.toml").write_text(format_key("line", "k", frozenset({"infer"})))
    keys = ("--keys", "keys.toml") if has_keys else ()
    printed = _failure(tmp_path, "--port", "0", "--host", host, *keys)
    assert printed.count("whoever reaches the port may run every model") == is_warned


def test_a_taken_port_is_a_failure(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "a", models.model(models.DOUBLE))
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert f"error: cannot listen on `127.0.0.1` port `{port}`" in _failure(tmp_path, "--port", port)


@pytest.mark.slow
def test_cuda_without_a_gpu_is_a_failure(tmp_path: Path) -> None:
    models.put(tmp_path / "models", "a", models.model(models.DOUBLE))
    assert "provider `cuda` was asked for" in _failure(tmp_path, "--port", "0", "--provider", "cuda")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keys", "none.toml"), "error: the keys file `none.toml` cannot be read: No such file"),
        (("--audit-log", "none/audit"), "error: the audit log `none/audit` cannot be written: No such file"),
        (("--tls-certificate", "a.pem"), "error: TLS needs both `--tls-certificate` and `--tls-key`"),
        (
            ("--tls-certificate", "a.pem", "--tls-key", "a.key"),
            "error: the certificate `a.pem` cannot be read: No such file",
        ),
    ],
)
def test_an_unusable_keys_or_certificate_file_is_a_failure(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    models.put(tmp_path / "models", "a", models.model(models.DOUBLE))
    assert message in _failure(tmp_path, "--port", "0", *arguments)


def test_the_first_line_says_where_and_what(server: ServerProcess) -> None:
    assert re.match(
        r"adaptact-serve: http://127\.0\.0\.1:\d+ serves add_sub \(1\), .*double \(1, 2, 10\).*"
        r" on cpu with 1 worker\n",
        server.first_line,
    )


AFTER = """
import logging, resource, sys
from serve.cli import allow_connections
logging.basicConfig(format="%(levelname)s %(message)s")
allow_connections(int(sys.argv[1]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def after(connections: int, soft: int, hard: int) -> tuple[tuple[int, int], str]:
    """The limits of a process that began with these and allows so many connections, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", AFTER, str(connections)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    now, most = map(int, done.stdout.split())
    return (now, most), done.stderr


def test_the_descriptor_limit_is_raised_as_far_as_needed() -> None:
    assert after(1000, soft=256, hard=4096) == ((1000 + OWN_DESCRIPTORS, 4096), "")


def test_a_limit_that_is_high_enough_stays() -> None:
    assert after(1000, soft=3000, hard=4096) == ((3000, 4096), "")


def test_too_low_a_hard_limit_is_logged() -> None:
    limits, log = after(1000, soft=256, hard=1024)
    assert limits == (1024, 1024)
    assert log.startswith("WARNING `--connections 1000` needs 1256 descriptors and the system allows 1024: ")
    assert "allow 768 connections" in log


def test_a_server_without_an_error_does_not_load_rich() -> None:
    code = (
        "import sys; from serve import cli; cli._run = lambda *_: print('rich' in sys.modules); "
        "sys.argv = ['adaptact-serve', '--models', 'm']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_server_first_raises_its_descriptor_limit(tmp_path: Path, workers: str) -> None:
    models.put(tmp_path, "broken", b"rubbish")  # it ends by itself
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", workers]
    done = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert done.stderr.count("`--connections 1000` needs 1256 descriptors") == 1


@pytest.mark.slow
def test_a_server_without_standard_files_serves(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    port = free_port()
    arguments = f"--models {tmp_path} --port {port} --workers 1"
    with subprocess.Popen(["/bin/sh", "-c", f"exec {COMMAND} {arguments} <&- >&- 2>&-"]) as process:
        try:
            until(lambda: process.poll() is not None or _is_ready(port))
            assert process.poll() is None
        finally:
            process.terminate()
        assert process.wait(SECONDS) == 0


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_no_line_before_the_options_is_broken_at_80_columns() -> None:
    """Its lines are printed as they stand."""
    assert max(map(len, inspect.cleandoc(str(serve.__doc__)).splitlines())) < 80
