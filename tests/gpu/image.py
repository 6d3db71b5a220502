"""The CUDA image, built and run by Docker with the GPU: `tests.docker.image.cuda` does without either."""

import shutil
import subprocess
import time

import httpx

from tests.docker.paths import DOCKER, ROOT
from tests.gpu.bench import (
    Bench,
    CheckError,
    NotHereError,
    ask,
    make_samples,
    measure_error,
    open_session,
    require,
    run,
)

IMAGE = "adaptact:gpu-test"
BUILD_SECONDS, READY_SECONDS = 300, 60
LARGEST = 1e-4


def check_image(bench: Bench) -> str:
    """The image answers on the GPU, read-only and without capabilities."""
    if not bench.is_cuda:
        raise NotHereError("the image is built for CUDA's own provider")
    if shutil.which("docker") is None:
        raise NotHereError("no Docker")
    start = time.perf_counter()
    _docker("build", "--quiet", "--file", str(DOCKER / "cuda.Dockerfile"), "--tag", IMAGE, str(ROOT))
    built = time.perf_counter() - start
    models = bench.folder / "models"
    models.parent.chmod(0o755)
    container = _docker(
        *("run", "--detach", "--rm", "--gpus", "all", "--read-only", "--tmpfs", "/tmp"),
        *("--cap-drop", "ALL", "--volume", f"{models}:/models:ro", "--publish", "127.0.0.1::8000", IMAGE),
    )
    try:
        address = _docker("port", container, "8000").splitlines()[0]
        error = _ask(bench, f"http://{address}")
    finally:
        _docker("stop", container)
    return f"built in {built:.0f} s; off by {error:.2g} of the scale"


def _ask(bench: Bench, url: str) -> float:
    end = time.monotonic() + READY_SECONDS
    while not _is_ready(url):
        require(time.monotonic() < end, f"not ready after {READY_SECONDS} s")
        time.sleep(0.5)
    x = make_samples("rows", 2)
    error = measure_error(ask(url, x), run(open_session(bench.files["rows"], "cpu"), x))
    require(error < LARGEST, f"off by {error:.2g} of the scale")
    return error


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
    )
    if done.returncode:
        raise CheckError(f"`docker {arguments[0]}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
