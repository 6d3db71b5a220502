"""What the machine has: cores, features of the processor, memory and disk, also within a container."""

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

FEATURES = (
    *("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "sve", "i8mm"),
)
"""What ONNX Runtime and torch have faster code for."""
GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # bytes: what older kernels say for no limit is more


def describe_machine() -> dict[str, str]:
    """The facts by name, for people; what cannot be read is left out."""
    facts = {
        "processor": _read_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "features": " ".join(_list_features()),
        "cores": _describe_cores(),
        "memory": _describe_memory(),
        **{f"disk, {name}": _describe_disk(path) for name, path in _list_folders().items()},
        "threads set": " ".join(
            f"{name}={os.environ[name]}"
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
            if name in os.environ
        ),
    }
    return {name: text for name, text in facts.items() if text}


def describe_python() -> str:
    """The interpreter and the system."""
    return f"Python {platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}"


def _list_features() -> list[str]:
    words = (_read_field("/proc/cpuinfo", "flags") or _read_field("/proc/cpuinfo", "Features")).split()
    return [feature for feature in FEATURES if feature in words]


def _describe_cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"{usable} of {os.cpu_count() or usable} can be used"
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        text += f", for {int(quota) / int(period):g} of their time (the container's limit)"
    return text


def _describe_memory() -> str:
    total, free = (_parse_kib(_read_field("/proc/meminfo", name)) for name in ("MemTotal", "MemAvailable"))
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free" if total else ""
    limit = _read(_CGROUP / "memory.max").strip()
    if limit.isdigit() and int(limit) < _UNLIMITED:
        text += f", at most {int(limit) / GIB:.1f} GiB for this container"
    return text


def _list_folders() -> dict[str, Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = {"here": Path("."), "temporary files": Path(tempfile.gettempdir()), "cache": cache}
    return {name: path for name, path in folders.items() if path.exists()}


def _describe_disk(path: Path) -> str:
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return ""
    writable = "" if os.access(path, os.W_OK) else ", not writable"
    return f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free{writable}"


def _read_field(path: str, name: str) -> str:
    """The first value of the name in a file of `name: value` lines."""
    for line in _read(Path(path)).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _parse_kib(text: str) -> int:
    number = text.removesuffix("kB").strip()
    return int(number) * 1024 if number.isdigit() else 0
