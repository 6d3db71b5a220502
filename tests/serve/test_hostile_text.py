"""No command sends a terminal a control character that a file, a folder or a server chose."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from serve.access import command as key_command
from serve.client.batch import command as predict_command
from tests.adaptact.hostile import HOSTILE
from tests.serve import models
from tests.serve.client.scripted import Answer, json_reply, scripted
from tests.serve.process import COMMAND

NAME = "".join(HOSTILE)  # a name of a file
TEXT = NAME.replace("\udcff", "")  # a text in UTF-8
QUOTED = json.dumps(TEXT)  # the same in JSON and in TOML

Run = Callable[..., object]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process and returns its exit code; all that it prints is judged."""

    def run_command(main: Callable[[], None], *arguments: object) -> object:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        require_printable("".join(capsys.readouterr()))
        return ended.value.code

    return run_command


def require_printable(text: str) -> None:
    assert text.strip()
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


def tensor(name: str) -> dict[str, object]:
    return {"name": name, "datatype": "FP32", "shape": [-1, 2]}


def metadata(name: str = "x", output: str = "y", version: str = "1") -> Answer:
    return json_reply(
        {"name": TEXT, "versions": [version], "inputs": [tensor(name)], "outputs": [tensor(output)]}
    )


ALIASES = json_reply({"aliases": [{"alias": "stable", "version": TEXT}]})
DONE = json_reply({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}]})


def write_npz(folder: Path, name: str = "x") -> Path:
    np.savez(folder / "in.npz", **{name: np.zeros((1, 2), np.float32)})  # type: ignore[arg-type]
    return folder / "in.npz"


def write_csv(folder: Path, header: str) -> Path:
    (folder / "in.csv").write_text(f"{header}\n1,2\n", newline="")
    return folder / "in.csv"


def predict(run: Run, answers: list[Answer], source: Path, *options: str) -> object:
    with scripted(*answers) as server:
        output = source.parent / f"{TEXT}.npz"
        return run(predict_command.main, server.url, "m", source, "-o", output, "--attempts", "1", *options)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_prediction_by_a_version_of_the_server(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    source = write_npz(tmp_path)
    assert predict(run, [metadata(), ALIASES, metadata(), DONE], source, *options) == FINE


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 503])
@pytest.mark.parametrize("answer", [json.dumps({"error": NAME}).encode(), TEXT.encode(), b"\x1b\x9b\r\xff"])
def test_an_error_of_the_server(run: Run, tmp_path: Path, status: int, answer: bytes) -> None:
    assert predict(run, [Answer(status, answer)], write_npz(tmp_path)) == FAILED


@pytest.mark.parametrize(
    "reply",
    [
        json_reply({NAME: NAME}),
        json_reply({"name": "m", "versions": ["1"], "inputs": NAME, "outputs": NAME}),
        Answer(body=TEXT.encode()),
        metadata(name=NAME),
    ],
)
def test_metadata_of_the_server(run: Run, tmp_path: Path, reply: Answer) -> None:
    assert predict(run, [reply, ALIASES, reply, DONE], write_npz(tmp_path)) in (
        FAILED,
        WRONG_USE,
        FINE,
    )


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": NAME, "datatype": NAME, "shape": [1, 2], "data": [0, 0]}],
        [{"name": NAME, "datatype": "FP32", "shape": [2, 2], "data": [0, 0]}],
        [{"name": NAME, "datatype": "FP32", "shape": [], "data": [0]}],
        [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [NAME, 0]}],
    ],
)
def test_outputs_of_the_server(run: Run, tmp_path: Path, outputs: list[object]) -> None:
    answers = [metadata(), ALIASES, metadata(), json_reply({"outputs": outputs})]
    assert predict(run, answers, write_npz(tmp_path)) == FAILED


def test_names_of_arrays(run: Run, tmp_path: Path) -> None:
    source = write_npz(tmp_path, TEXT)
    answers = [
        metadata(),
        ALIASES,
        json_reply(json.loads(metadata().body) | {"inputs": [tensor("a"), tensor("b")]}),
    ]
    assert predict(run, answers, source) == WRONG_USE


@pytest.mark.parametrize("header", [f'"x[0]","x{TEXT}"', f'x,"{TEXT}[1]"'])
def test_names_of_columns(run: Run, tmp_path: Path, header: str) -> None:
    assert predict(run, [metadata(), ALIASES, metadata(), DONE], write_csv(tmp_path, header)) == WRONG_USE


def test_values_of_a_table(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f'x[0],x[1]\n1,"{TEXT}"\n', newline="")
    assert predict(run, [metadata(), ALIASES, metadata()], tmp_path / "in.csv") == WRONG_USE


@pytest.mark.parametrize("name", [f"{TEXT}.png", f"{NAME}.png"])
def test_names_of_images(run: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / name).write_bytes(b"no image")
    refusal = json_reply({"error": "`instances[0]` is neither a PNG nor a JPEG image"}, 400)
    assert predict(run, [metadata(), ALIASES, metadata(), refusal], folder) == WRONG_USE


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"{QUOTED} = 1",
        f"[[key]]\n{QUOTED} = 1",
        f"[[key]]\nname = {QUOTED}",
        f'[[key]]\nname = "a"\nsha256 = "{64 * "0"}"\nroles = [{QUOTED}]',
    ],
)
def test_a_keys_file(run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / f"{TEXT}.toml"
    file.write_text(text)
    assert run(key_command.main, file, "--name", "a", "--role", "infer") == FAILED


def serve(folder: Path, *arguments: str) -> int:
    """The exit code of a server that cannot start."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTACT_")}
    command = [str(COMMAND), "--port", "0", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=False)
    require_printable((done.stdout + done.stderr).decode(errors="replace"))
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [f"{QUOTED} = 1", f"grpc_port = {QUOTED}", f"log_level = {QUOTED}", f"models = {TEXT}"]
)
def test_the_settings_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "adaptact.toml").write_text(text)
    assert serve(tmp_path, "--models", "models") == WRONG_USE


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_models_folder(tmp_path: Path, workers: str) -> None:
    folder = tmp_path / TEXT
    folder.mkdir()
    assert serve(tmp_path, "--models", TEXT, "--workers", workers) == FAILED


@pytest.mark.slow
@pytest.mark.parametrize("name", [NAME, "m"])
def test_a_model_and_its_settings(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "models"
    models.put(folder, name, b"rubbish")
    (folder / name / TEXT).mkdir()
    (folder / name / "config.toml").write_text(f"{QUOTED} = {QUOTED}")
    models.put(folder, f"other {name}", b"rubbish")
    assert serve(tmp_path, "--models", "models") == FAILED


def test_the_log_of_a_server() -> None:
    code = (
        "import logging; from serve.observe.log_lines import configure_log; "
        f"configure_log('info', '%(message)s'); logging.error('%s', {TEXT!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    require_printable(done.stderr)
