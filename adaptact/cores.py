"""The cores that this process may use."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = CGROUP) -> int:
    """The cores that this process may use: its affinity, limited by a container's CPU quota; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read_quota(cgroup)
    return max(1, min(cores, int(quota))) if quota else cores


def _read_quota(cgroup: Path) -> float | None:
    """The container's CPU quota in cores, from control groups version 2 or 1; None when there is none."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        limit, period = _read_version_1(cgroup / "cpu")
    if not (limit.isdecimal() and period.isdecimal() and int(period)):
        return None
    return max(1.0, int(limit) / int(period))


def _read_version_1(folder: Path) -> tuple[str, str]:
    try:
        return (
            (folder / "cpu.cfs_quota_us").read_text().strip(),
            (folder / "cpu.cfs_period_us").read_text().strip(),
        )
    except OSError:
        return "max", "0"
