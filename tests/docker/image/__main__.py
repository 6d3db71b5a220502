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
from tests.docker.image.report import (
    ABOVE_BASE_BUDGET_BYTES,
    STARTS,
    STOP_BUDGET_SECONDS,
    Lifetime,
    Report,
    megabytes,
    seconds,
)
from tests.docker.image.store import ImageConfig, Store, bytes_of_files
from tests.docker.paths import DOCKER, ROOT

DOCKERFILE = DOCKER / "cpu.Dockerfile"
REPORT = ROOT / "docs" / "results" / "image.md"
IMAGE = "adaptact:cpu"
FORBIDDEN_PACKAGES = {"torch", "onnx", "onnxscript", "pip", "setuptools"}
BILL = "opt/adaptact/bill-of-materials.cdx.json"
FORBIDDEN_FOLDERS = ("root/.cache", "source", "wheels")


def packages_of(files: Path) -> dict[str, int]:
    """The bytes of each package that the image's `files` have beside the base's own."""
    (site_packages,) = (files / "opt/adaptact/lib").glob("python3.*/site-packages")
    return {entry.name: bytes_of_files(entry) for entry in site_packages.iterdir() if entry.is_dir()}


def check_files(files: Path, packages: dict[str, int]) -> None:
    """The image has nothing that only building or converting needs, and a bill of its packages."""
    bill = json.loads((files / BILL).read_text(encoding="utf-8"))
    missing = {"fastapi", "numpy", "onnxruntime"} - {component["name"] for component in bill["components"]}
    check(not missing, f"the bill of materials does not list `{', '.join(sorted(missing))}`")
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


def run_server(container: Container, image: ImageConfig) -> Lifetime:
    """What the server took to be ready, to predict and to stop; each step is checked."""
    path = f"/v2/models/{model.NAME}/infer"
    request = FOLDER / "request.json"
    request.write_text(json.dumps(model.request()), encoding="utf-8")
    client = (sys.executable, "-m", "tests.docker.image.client", image.variable("ADAPTACT_PORT"), path)
    answered = json.loads(container.call(*client, str(request)))
    processor_seconds, workers = container.processor_seconds(), len(container.processes()) - 1
    check_answer(answered["answer"])
    health = container.execute(*image.health_command)
    check(health.returncode == 0, f"the health check failed: {health.stdout}{health.stderr}")
    check_confinement(container, image)
    memory_bytes = container.memory_bytes()
    code, stop_seconds = container.stop(STOP_BUDGET_SECONDS)
    check(code == 0, f"expected exit code `0` after SIGTERM, got `{code}`:\n{container.log()}")
    ready_seconds = answered["ready_at"] - container.started_at
    return Lifetime(processor_seconds, ready_seconds, memory_bytes, stop_seconds, workers)


def lifetime(specification: dict[str, object], image: ImageConfig) -> Lifetime:
    """What `run_server` says of a new container."""
    with running(FOLDER / "bundle", specification) as container:
        return run_server(container, image)


def describe_base(files: Path) -> str:
    """The operating system and the Python that `files` hold."""
    release = (files / "etc/os-release").read_text(encoding="utf-8")
    system = next(line for line in release.splitlines() if line.startswith("PRETTY_NAME=")).partition("=")[2]
    python = run("chroot", str(files), "python3", "--version").strip()
    return f"{shlex.split(system)[0]} with {python}"


def measure(store: Store, base: str) -> Report:
    """What was measured of an image that does all that it must; the base and the image are in `store`."""
    models = FOLDER / "models"
    model.write_model(models)
    config = store.config(IMAGE)
    with store.files(base) as files:
        base_bytes, described = bytes_of_files(files), describe_base(files)
    with store.files(IMAGE) as files:
        packages = packages_of(files)
        check_files(files, packages)
        image_bytes = bytes_of_files(files)
        specification = runtime_specification(config, files, models)
        least = min(lifetime(specification, config) for _ in range(STARTS))
    return Report(
        base=described,
        base_bytes=base_bytes,
        image_bytes=image_bytes,
        largest_packages=tuple(sorted(packages.items(), key=lambda item: -item[1])[:6]),
        least=least,
        tools=", ".join(run(tool, "--version").splitlines()[0] for tool in ("buildah", "crun")),
    )


def check_budgets(report: Report) -> None:
    """The image is small enough, and ready soon enough."""
    check(
        report.above_base_bytes <= ABOVE_BASE_BUDGET_BYTES,
        f"files above the base: expected at most `{megabytes(ABOVE_BASE_BUDGET_BYTES)}`, "
        f"got `{megabytes(report.above_base_bytes)}`",
    )
    least = report.least
    check(
        least.processor_seconds <= least.start_budget_seconds,
        f"processor time until the first answer: expected at most `{seconds(least.start_budget_seconds)}`, "
        f"got `{seconds(least.processor_seconds)}`, the least of {STARTS} starts",
    )


def main() -> int:
    """The exit code."""
    try:
        require_tools()
        report = measure(*built(DOCKERFILE, IMAGE))
        check_budgets(report)
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
