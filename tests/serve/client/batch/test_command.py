import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from serve.client.batch.command import main
from tests.serve import models
from tests.serve.client.scripted import Answer, json_reply, scripted
from tests.serve.commands import Command, make_command
from tests.serve.process import ServerProcess

KEPT = 5
MAIN = "from serve.client.batch.command import main; main()"
# Where the tests run in the background, their processes inherit that a Ctrl-C is ignored.
INTERRUPTIBLE = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN}"
KILLED = f"""
import itertools, os, signal
from serve.client import Client
from serve.client.batch.command import main
ask, asked = Client.infer, itertools.count(1)
def infer(*given, **named):
    if next(asked) > {KEPT}:
        os.kill(os.getpid(), signal.SIGKILL)
    return ask(*given, **named)
Client.infer = infer
main()
"""
GIVEN = np.random.default_rng(3).normal(size=(2000, 3)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.savez(tmp_path / "in.npz", x=GIVEN)
    return tmp_path / "in.npz"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command("adaptact-predict", main, monkeypatch, capsys)


@pytest.mark.slow
def test_a_file_is_answered_to_the_bit(command: Command, server: ServerProcess, source: Path) -> None:
    target = source.with_name("out.npz")
    done = command(server.url, "double", source, "-o", target, "--batch", 256, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["rows"] == 2000
    assert done.err == ""
    with np.load(target) as found:
        assert found["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    assert sorted(path.name for path in source.parent.iterdir()) == ["in.npz", "out.npz"]


def test_a_models_file_answers_without_a_server(command: Command, source: Path) -> None:
    model = models.put(source.parent / "models", "double", models.model(models.DOUBLE))
    done = command(model, source, "-o", source.with_name("out.npz"), "--json", "--parallel", 2)
    assert done.status == 0, done.err
    assert json.loads(done.out) | {"version": "", "seconds": 0} == {
        "rows": 2000,
        "kept": 0,
        "version": "",
        "failed": 0,
        "output": str(source.with_name("out.npz")),
        "seconds": 0,
    }
    with np.load(source.with_name("out.npz")) as found:
        assert found["y"].tobytes() == (GIVEN + GIVEN).tobytes()


def test_names_that_the_system_refuses_are_wrong_use(command: Command, source: Path) -> None:
    model, long = models.put(source.parent / "models", "double", models.model(models.DOUBLE)), "n" * 300
    loop = source.with_name("loop.onnx")
    loop.symlink_to(loop)
    target = source.with_name("out.npz")
    for words in (
        (model, source.with_name(f"{long}.csv"), "-o", target),
        (model, source, "-o", source.with_name(f"{long}.npz")),
        ("http://127.0.0.1:1", "double", source, "-o", source.with_name(f"{long}.npz")),
        (loop, source, "-o", target),
    ):
        done = command(*words)
        assert done.status == 2
        assert done.err.startswith("error: `")


@pytest.mark.slow
def test_a_killed_run_continues(command: Command, server: ServerProcess, source: Path) -> None:
    target, kept = source.with_name("out.csv"), source.with_name("out.csv.partial")
    arguments = [server.url, "double", source, "-o", target, "--batch", 100, "--parallel", 1]
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert kept.exists()
    assert not target.exists()
    done = command(*arguments)
    assert done.status == 0, done.err
    assert f", {100 * KEPT} of them in an earlier run" in done.out
    found = np.loadtxt(target, np.float32, delimiter=",", skiprows=1)
    assert found.tobytes() == (GIVEN + GIVEN).tobytes()
    assert not kept.exists()


@pytest.mark.slow
def test_a_folder_of_images_is_answered_with_labels(command: Command, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    manifest = {"format": 1, "classes": ["red", "green", "blue"], "preprocessing": {}}
    brightest = models.model(
        "colours (float[N, 3, 2, 2] x) => (float[N, 3] y) {\n"
        "axes = Constant<value = int64[2] {2, 3}>()\n y = ReduceMax<keepdims = 0>(x, axes) }"
    )
    models.put(tmp_path / "models", "colours", models.with_manifest(brightest, manifest))
    (tmp_path / "images").mkdir()
    for name, colour in {"a.png": (0, 0, 255), "b.png": (255, 0, 0), "c.png": (0, 255, 0)}.items():
        image.new("RGB", (2, 2), colour).save(tmp_path / "images" / name)
    with ServerProcess("--models", str(tmp_path / "models")) as server:
        done = command(server.url, "colours", tmp_path / "images", "-o", tmp_path / "o.csv", "--batch", 2)
    assert done.status == 0, done.err
    assert (tmp_path / "o.csv").read_text().splitlines() == [
        "file,label,y[0],y[1],y[2]",
        "a.png,blue,0.0,0.0,1.0",
        "b.png,red,1.0,0.0,0.0",
        "c.png,green,0.0,1.0,0.0",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["localhost", "m", "in.npz", "-o", "out.npz"], "is not the address of a server"),
        (["http://127.0.0.1:1", "m", "in.npz", "-o", "out.txt"], "ends in neither"),
        (["http://127.0.0.1:1", "m", "nothing.npz", "-o", "out.npz"], "does not exist"),
        (["http://127.0.0.1:1", "m", "in.npz", "-o", "out.npz", "--batch", "0"], "invalid value"),
        (["http://127.0.0.1:1", "m", "in.npz", "-o", "nowhere/out.npz"], "cannot be written"),
        (["http://127.0.0.1:1", "m", "in.npz", "-o", "out.npz", "--ca", "in.npz"], "no certificates"),
        (["http://127.0.0.1:1", "in.npz", "-o", "out.npz"], "expected URL MODEL INPUT, or MODEL.onnx INPUT"),
        (["http://127.0.0.1:1", "m", "in.npz", "-o", "out.npz", "--cluster"], "`--cluster` is for a model's"),
        (["--cluster", "head", "m.onnx", "in.npz", "-o", "out.npz"], "HOST:PORT, such as head:6379"),
        (["m.onnx", "in.npz", "-o", "out.npz"], "is no file whose name ends in `.onnx`"),
        (["m.onnx", "in.npz", "-o", "out.npz", "--version", "1"], "`--version` is for a server"),
    ],
)
def test_wrong_use_ends_with_2(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(source.parent)
    done = command(*arguments)
    assert done.status == 2
    assert message in " ".join(done.err.split())


TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 3]}
MODEL = json_reply({"name": "m", "versions": ["1"], "inputs": [TENSOR], "outputs": [TENSOR | {"name": "y"}]})
ANSWER = json_reply(
    {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1000, 3], "data": [0.0] * 3000}]}
)


def test_a_server_that_is_away_is_a_failure_with_a_hint(command: Command, source: Path) -> None:
    replies = (MODEL, json_reply({}, 404), MODEL, ANSWER, Answer(503, b'{"error": "away"}'))
    with scripted(*replies) as server:
        done = command(
            server.url, "m", source, "-o", source.with_name("out.npz"), "--batch", 1000, "--attempts", 2,
            "--parallel", 1, "--api-key", "k",
        )  # fmt: skip
    assert done.status == 1
    assert done.err == ("error: away\nhint: the same command goes on with the answers that are kept\n")
    assert [asked.headers["authorization"] for asked in server.requests] == ["Bearer k"] * 6
    assert source.with_name("out.npz.partial").exists()


def test_a_version_that_is_gone_has_its_own_hint(command: Command, source: Path) -> None:
    gone = json_reply({"error": "version `1` is not found"}, 404)
    with scripted(MODEL, json_reply({}, 404), MODEL, ANSWER, gone) as server:
        arguments = [server.url, "m", source, "-o", source.with_name("out.npz"), "--batch", 1000]
        for _ in range(2):
            done = command(*arguments, "--parallel", 1)
            assert done.status == 1
            assert done.err == (
                "error: version `1` is not found\n"
                "hint: the answers that are kept are that version's: "
                "serve it again, or begin anew with `--restart`\n"
            )
    assert server.requests[-1].path == "/v2/models/m/versions/1"


def test_a_reply_without_end_is_not_read(command: Command, source: Path) -> None:
    endless = Answer(body=bytes(2**21), cut=2**20 + 2)
    with scripted(MODEL, json_reply({}, 404), MODEL, endless) as server:
        target = source.with_name("out.npz")
        done = command(server.url, "m", source, "-o", target, "--parallel", 1, "--reply-limit-mib", 1)
    assert done.status == 1
    assert done.err.startswith("error: the reply is larger than the limit of 1048576 bytes")
    assert "`--batch`" in done.err
    assert "`--reply-limit-mib`" in done.err


@pytest.mark.slow
def test_ctrl_c_exits_at_once(source: Path) -> None:
    with scripted(MODEL, json_reply({}, 404), MODEL, Answer(body=bytes(9), seconds_a_byte=600)) as server:
        arguments = [server.url, "m", str(source), "-o", str(source.with_name("out.npz"))]
        line = [sys.executable, "-c", INTERRUPTIBLE, *arguments]
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as running:
            while len(server.requests) < 4:
                time.sleep(0.01)
            running.send_signal(signal.SIGINT)
            try:
                assert running.communicate(timeout=60)[1] == "error: interrupted\n"
            finally:
                running.kill()
    assert running.returncode == 1


def test_a_key_is_sent_without_its_newline(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTACT_API_KEY", "a-secret\n")
    with scripted(json_reply({"error": "no"}, 403)) as server:
        done = command(server.url, "m", source, "-o", source.with_name("out.npz"))
    assert done.status == 1
    assert server.requests[0].headers["authorization"] == "Bearer a-secret"


@pytest.mark.parametrize("key", ["a-secret\nmore", "a-secret-schlüssel€", " \n"])
def test_a_key_that_cannot_be_sent_is_never_shown(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ADAPTACT_API_KEY", key)
    done = command("http://127.0.0.1:1", "m", source, "-o", source.with_name("out.npz"))
    assert done.status == 2
    assert done.err.startswith("error: the API key cannot be sent: expected printable ASCII characters")
    assert "a-secret" not in done.err
