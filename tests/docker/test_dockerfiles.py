"""Both Dockerfiles, without building them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.settings import PREFIX, Settings
from tests.docker.dockerfile import Dockerfile
from tests.docker.paths import DOCKER, DOCKERFILES, ROOT, project

HADOLINT = (Path(sys.executable).with_name("hadolint"), "--no-color", "--disable-ignore-pragma")
CUDA_CONSTRAINTS = DOCKER / "cuda-constraints.txt"

each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)


def installed_extras(path: Path) -> list[str]:
    (build, _) = Dockerfile.read(path).stages
    (extras,) = re.findall(r"\.whl\)\[([\w,-]+)\$\{ADD:\+,\$ADD\}\]", build.only("RUN"))
    return str(extras).split(",")


def pins(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: version for name, version in (line.split("==") for line in lines)}


def test_there_is_an_image_for_each_server_extra() -> None:
    assert {installed_extras(path)[0] for path in DOCKERFILES} == {"serve", "serve-cuda"}


@each_dockerfile
def test_the_image_reads_images_and_sends_traces(path: Path) -> None:
    server, *others = installed_extras(path)
    assert others == ["images", "telemetry"]
    extras = project()["optional-dependencies"]
    assert {server, *others} <= extras.keys()
    pinned = pins(ROOT / "constraints.txt").keys()
    assert all(re.split(r"[^\w-]", need)[0] in pinned for other in others for need in extras[other])


@each_dockerfile
def test_hadolint_finds_nothing(path: Path) -> None:
    linted = subprocess.run(
        (*HADOLINT, "--failure-threshold=style", path), capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_hadolint_finds_an_unpinned_base() -> None:
    linted = subprocess.run(
        (*HADOLINT, "-"), input="FROM debian\n", capture_output=True, text=True, check=False
    )
    assert linted.returncode == 1
    assert "DL3006" in linted.stdout


@each_dockerfile
def test_every_base_has_a_tag_that_stays(path: Path) -> None:
    for stage in Dockerfile.read(path).stages:
        name, _, tag = stage.base.partition(":")
        assert name
        assert tag not in ("", "latest")


@each_dockerfile
def test_the_image_adds_files_to_its_base_and_runs_nothing(path: Path) -> None:
    build, last = Dockerfile.read(path).stages
    assert last.base == build.base
    assert last.all("RUN") == []
    assert last.all("COPY") == [
        "--from=build /opt/adaptact /opt/adaptact",
        "--chmod=0644 docker/healthcheck.py /opt/adaptact/healthcheck.py",
        "--from=build --chown=10001:10001 /opt/cache /var/cache/adaptact",
    ]


@each_dockerfile
def test_its_user_may_write_to_the_volume_of_shared_weights_alone(path: Path) -> None:
    last = Dockerfile.read(path).last_stage
    assert last.only("VOLUME") == last.environment["CACHE_DIRECTORY"] == "/var/cache/adaptact"
    assert last.only("USER") == "10001:10001"


@each_dockerfile
def test_the_image_runs_as_an_ordinary_user_given_by_number(path: Path) -> None:
    user, group = Dockerfile.read(path).last_stage.only("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


@each_dockerfile
def test_the_server_is_the_first_process(path: Path) -> None:
    entrypoint = json.loads(Dockerfile.read(path).last_stage.only("ENTRYPOINT"))
    assert entrypoint == ["adaptact-serve"]
    assert entrypoint[0] in project()["scripts"]


@each_dockerfile
def test_the_health_check_is_the_file_that_the_image_holds(path: Path) -> None:
    last = Dockerfile.read(path).last_stage
    interpreter, script = last.health_command
    assert interpreter == "python3"
    assert script in [copied.split()[-1] for copied in last.all("COPY")]


@each_dockerfile
def test_the_image_sets_the_server_up_by_its_own_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = Dockerfile.read(path).last_stage
    ours = {name: value for name, value in last.environment.items() if name.startswith(PREFIX)}
    assert {name.removeprefix(PREFIX).lower() for name in ours} <= Settings.model_fields.keys()
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()  # type: ignore[call-arg]  # the environment has what is required
    assert settings.host == "0.0.0.0"
    assert settings.provider == ("cuda" if "serve-cuda" in installed_extras(path) else "cpu")
    assert last.only("EXPOSE") == f"${{{PREFIX}PORT}}"


@each_dockerfile
def test_onnx_runtime_sends_no_telemetry(path: Path) -> None:
    assert Dockerfile.read(path).last_stage.environment["ORT_DISABLE_TELEMETRY"] == "1"


@each_dockerfile
def test_secrets_and_cache_are_mounted_and_never_copied(path: Path) -> None:
    build, _ = Dockerfile.read(path).stages
    mounts = re.findall(r"--mount=type=(\w+)", build.only("RUN"))
    assert mounts == ["secret", "secret", "cache"]
    assert build.all("ARG") == ['ADD=""']
    assert build.all("ENV") == []


def test_openvino_can_be_added_to_the_image() -> None:
    assert "--build-arg ADD=openvino" in (DOCKER / "cpu.Dockerfile").read_text(encoding="utf-8")
    (need,) = project()["optional-dependencies"]["openvino"]
    assert re.split(r"[^\w-]", need)[0] in pins(ROOT / "constraints.txt")


def test_the_images_differ_only_in_what_they_run_on() -> None:
    cpu, cuda = (Dockerfile.read(DOCKER / f"{kind}.Dockerfile") for kind in ("cpu", "cuda"))
    extra_environment = cuda.last_stage.environment.items() - cpu.last_stage.environment.items()
    assert dict(extra_environment) == {
        "ADAPTACT_PROVIDER": "cuda",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    assert cpu.last_stage.environment.items() <= cuda.last_stage.environment.items()
    same = ("COPY", "VOLUME", "EXPOSE", "USER", "HEALTHCHECK", "ENTRYPOINT")
    assert [cpu.last_stage.all(word) for word in same] == [cuda.last_stage.all(word) for word in same]
    added = " --constraint docker/cuda-constraints.txt"
    cuda_build = cuda.stages[0].only("RUN").replace(added, "").replace("[serve-cuda,", "[serve,")
    assert cuda_build == cpu.stages[0].only("RUN")


def test_the_cuda_image_pins_what_the_common_constraints_do_not() -> None:
    own, common = pins(CUDA_CONSTRAINTS), pins(ROOT / "constraints.txt")
    assert own.keys().isdisjoint(common)
    assert "onnxruntime-gpu" in own
    assert all(name.startswith("nvidia-") for name in own.keys() - {"onnxruntime-gpu"})


def test_only_what_the_build_reads_enters_its_context() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    described = project()
    assert "*" in lines
    assert allowed == {
        *described["packages"],
        *(name for name in described["license-files"] if name.partition("/")[0] not in described["packages"]),
        described["readme"],
        "pyproject.toml",
        "constraints.txt",
        "docker/cuda-constraints.txt",
        "docker/healthcheck.py",
    }
    assert all((ROOT / name).exists() for name in allowed)
