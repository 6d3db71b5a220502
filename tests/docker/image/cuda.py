"""Builds the CUDA image and checks what a machine without a GPU can: `python -m tests.docker.image.cuda`.

It downloads and copies gigabytes, so `make image-test` leaves it out. Writes docs/results/image-cuda.md.
"""

import sys
from dataclasses import replace

from tests.docker.image import model
from tests.docker.image.build import CONSOLE, FOLDER, built
from tests.docker.image.commands import ImageTestError, check, require_tools
from tests.docker.image.container import running, runtime_specification
from tests.docker.image.report import megabytes
from tests.docker.image.store import bytes_of_files
from tests.docker.paths import DOCKER, ROOT

REPORT = ROOT / "docs" / "results" / "image-cuda.md"
IMAGE = "adaptact:cuda"
TIMEOUT_SECONDS = 60.0
DRIVER = "libcuda.so.1"

# Loads ONNX Runtime's CUDA provider by hand, since ONNX Runtime itself only warns where a library is missing.
LOAD_PROVIDER = """
import ctypes, pathlib, onnxruntime
onnxruntime.preload_dlls()
provider = pathlib.Path(onnxruntime.__file__).with_name("capi") / "libonnxruntime_providers_cuda.so"
try:
    ctypes.CDLL(str(provider))
except OSError as error:
    print("missing:", error)
print("onnxruntime-gpu", onnxruntime.__version__, "for CUDA", onnxruntime.cuda_version)
"""

PAGE = """\
# The CUDA image, measured without a GPU

Written by `python -m tests.docker.image.cuda`, which built `docker/cuda.Dockerfile` on the CPU image's base
and ran the image with crun on a machine without a GPU. No prediction was made.

* Files above the base: {added}.
* It holds {runtime}.
* ONNX Runtime's CUDA provider found every library that it needs but the driver's `{driver}`, which the
  container toolkit mounts from the host.
* The server ended with exit code 1 instead of running on the CPU. It said: {refusal}.
"""


def main() -> int:
    """The exit code."""
    try:
        require_tools()
        page = measure()
    except ImageTestError as error:
        CONSOLE.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    REPORT.write_text(page, encoding="utf-8")
    CONSOLE.print(page, markup=False, soft_wrap=True)
    return 0


def measure() -> str:
    """The page about an image of which everything that can be checked holds."""
    store, base = built(DOCKER / "cuda.Dockerfile", IMAGE)
    models, bundle = FOLDER / "models", FOLDER / "bundle"
    model.write_model(models)
    server = store.config(IMAGE)
    probe = replace(server, command=("python3", "-c", LOAD_PROVIDER))
    outcomes = []
    with store.files(base) as files:
        base_bytes = bytes_of_files(files)
    with store.files(IMAGE) as files:
        added_bytes = bytes_of_files(files) - base_bytes
        for config in (probe, server):
            with running(bundle, runtime_specification(config, files, models)) as container:
                outcomes.append((container.wait(TIMEOUT_SECONDS), container.log().strip()))
    (probe_code, probed), (server_code, printed) = outcomes
    missing, _, runtime = probed.rpartition("\n")
    check(probe_code == 0, probed)
    check(missing.startswith(f"missing: {DRIVER}:"), f"expected only `{DRIVER}` to be missing, got: {probed}")
    check(server_code == 1, f"expected exit code `1` without a GPU, got `{server_code}`: {printed}")
    refusal = printed.splitlines()[-1]
    check("CUDA" in refusal, f"expected the server to say that CUDA is what it lacks, got: {printed}")
    return PAGE.format(added=megabytes(added_bytes), runtime=runtime, driver=DRIVER, refusal=refusal)


if __name__ == "__main__":
    sys.exit(main())
