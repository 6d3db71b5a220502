"""The machine and the versions that a measurement holds for: another one may run another provider faster."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-ep-openvino",
    "onnxruntime-ep-nv-tensorrt-rtx",
)
"""Those whose kernels are timed."""


def describe_processor(*, with_gpus: bool = False) -> str:
    """The model of the machine's processor, and of its GPUs where those compute."""
    names = [_read_field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()]
    if with_gpus:
        cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        names += [_read_field(card, "Model") for card in cards]
    return ", ".join(filter(None, names))


def adds_up_in_16_bits() -> bool:
    """Whether the processor adds products of 8-bit numbers up in 16 bits, which two of them can overflow.

    Those of x86 without VNNI do, Intel's before 2019 and AMD's before 2022; one that cannot be read may.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    return not {"avx512_vnni", "avx_vnni"}.intersection(_list_flags())


def multiplies_tiles() -> bool:
    """Whether the processor multiplies tiles of 8-bit numbers at once, by AMX."""
    return "amx_int8" in _list_flags()


def list_versions() -> dict[str, str]:
    """The versions of those PACKAGES that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _list_flags() -> list[str]:
    return _read_field(Path("/proc/cpuinfo"), "flags").split()


def _read_field(path: Path, name: str) -> str:
    """The first value of the name in a file of `name : value` lines; empty where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
