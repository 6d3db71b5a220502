"""Builds the CPU image, runs it, and writes docs/results/image.md; exit code 1 where anything is amiss."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np

from tests.docker.image import model
from tests.docker.image.build import CONSOLE, FOLDER, built
from tests.docker.image.commands import ImageTestError, check, require_tools, run
from tests.docker.image.container import Container, running, runtime_specification
from tests.docker.image.report import ABOVE_BASE_BUDGET_BYTES, STOP_BUDGET_SECONDS, Report, megabytes
from tests.docker.image.store import ImageConfig, Store, bytes_of_files
from tests.docker.paths import DOCKER, ROOT

DOCKERFILE = DOCKER / "cpu.Dockerfile"
REPORT = ROOT / "docs" / "results" / "image.md"
IMAGE = "adaptact:cpu"
FORBIDDEN_PACKAGES = {"torch", "onnx", "onnxscript", "pip", "setuptools"}
FORBIDDEN_FOLDERS = ("root/.cache", "source", "wheels")


def packages_of(files: Path) -> dict[str, int]:
    """The bytes of each package that the image's `files` have beside the base's own."""
    (site_packages,) = (files / "opt/adaptact/lib").glob("python3.*/site-packages")
    return {entry.name: bytes_of_files(entry) for entry in site_packages.iterdir() if entry.is_dir()}


def check_files(files: Path, packages: dict[str, int]) -> None:
    """The image has nothing that only building or converting needs."""
    found = sorted(FORBIDDEN_PACKAGES & packages.keys())
    check(not found, f"the image holds packages that no server needs: `{', '.join(found)}`")
    left = [folder for folder in FORBIDDEN_FOLDERS if (files / folder).exists()]
    check(not left, f"the build left `{', '.join(left)}` in the image")


def check_confinement(container: Container, image: ImageConfig) -> None:
    """The kernel holds the server to what was asked for."""
    users, capabilities = container.status("Uid"), container.status("CapBnd")
    mounts = Path(f"/proc/{container.process_id}/mounts").read_text(encoding="utf-8").splitlines()
    root_options = next(line.split()[3] for line in mounts if line.split()[1] == "/")
    check(set(users) == {image.user.split(":")[0]}, f"expected the user `{image.user}`, got `{users}`")
    check(int(capabilities[0], 16) == 0, f"expected no capability, got `{capabilities[0]}`")
    check(container.status("NoNewPrivs") == ["1"], "expected that the server can gain no privileges")
    check("ro" in root_options.split(","), f"expected a read-only root, got `{root_options}`")


def check_answer(answer: dict[str, list[dict[str, object]]]) -> None:
    """The server computed what numpy computes."""
    (output,) = answer["outputs"]
    values = np.array(output["data"], dtype=np.float32).reshape(model.SAMPLES.shape[0], -1)
    expected = model.expected()
    check(
        values.shape == expected.shape and np.allclose(values, expected, rtol=1e-6, atol=1e-6),
        f"expected `{expected.tolist()}`, got `{values.tolist()}`",
    )


def run_server(container: Container, image: ImageConfig) -> tuple[float, int, float]:
    """Seconds to be ready, bytes of memory after a prediction, seconds to stop; each step is checked."""
    path = f"/v2/models/{model.NAME}/infer"
    request = FOLDER / "request.json"
    request.write_text(json.dumps(model.request()), encoding="utf-8")
    client = (sys.executable, "-m", "tests.docker.image.client", image.variable("ADAPTACT_PORT"), path)
    answered = json.loads(container.call(*client, str(request)))
    check_answer(answered["answer"])
    health = container.execute(*image.health_command)
    check(health.returncode == 0, f"the health check failed: {health.stdout}{health.stderr}")
    check_confinement(container, image)
    memory_bytes = int(container.status("VmRSS")[0]) * 1024
    code, stop_seconds = container.stop(STOP_BUDGET_SECONDS)
    check(code == 0, f"expected exit code `0` after SIGTERM, got `{code}`:\n{container.log()}")
    return answered["ready_at"] - container.started_at, memory_bytes, stop_seconds


def describe_base(files: Path) -> str:
    """The operating system and the Python that `files` hold."""
    release = (files / "etc/os-release").read_text(encoding="utf-8")
    system = next(line for line in release.splitlines() if line.startswith("PRETTY_NAME=")).partition("=")[2]
    python = run("chroot", str(files), "python3", "--version").strip()
    return f"{shlex.split(system)[0]} with {python}"


def measure(store: Store, base: str) -> Report:
    """The report of an image that does all that it must; the base and the image are in `store`."""
    models = FOLDER / "models"
    model.write_model(models)
    config = store.config(IMAGE)
    with store.files(base) as files:
        base_bytes, described = bytes_of_files(files), describe_base(files)
    with store.files(IMAGE) as files:
        packages = packages_of(files)
        check_files(files, packages)
        image_bytes = bytes_of_files(files)
        with running(FOLDER / "bundle", runtime_specification(config, files, models)) as container:
            ready_seconds, memory_bytes, stop_seconds = run_server(container, config)
    report = Report(
        base=described,
        base_bytes=base_bytes,
        image_bytes=image_bytes,
        largest_packages=tuple(sorted(packages.items(), key=lambda item: -item[1])[:6]),
        ready_seconds=ready_seconds,
        memory_bytes=memory_bytes,
        stop_seconds=stop_seconds,
        tools=", ".join(run(tool, "--version").splitlines()[0] for tool in ("buildah", "crun")),
    )
    check(
        report.above_base_bytes <= ABOVE_BASE_BUDGET_BYTES,
        f"files above the base: expected at most `{megabytes(ABOVE_BASE_BUDGET_BYTES)}`, "
        f"got `{megabytes(report.above_base_bytes)}`",
    )
    return report


def main() -> int:
    """The exit code."""
    try:
        require_tools()
        report = measure(*built(DOCKERFILE, IMAGE))
    except ImageTestError as error:
        CONSOLE.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    report.write(REPORT)
    for what, measured, budget in report.rows():
        CONSOLE.print(f"{what}: {measured}" + (f" (at most {budget})" if budget else ""))
    CONSOLE.print(f"passed; written to {REPORT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
