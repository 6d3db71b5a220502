"""Other programs' commands, and the one error that this test ends with."""

import os
import shutil
import subprocess
from collections.abc import Mapping

PACKAGE_OF = {
    "buildah": "buildah",
    "crun": "crun",
    "debootstrap": "debootstrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


class ImageTestError(Exception):
    """The image could not be tested, or it failed."""


def run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """The standard output of `command`; its last lines of complaint are raised if it fails."""
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if finished.returncode:
        complaint = "\n".join((finished.stdout + finished.stderr).splitlines()[-30:])
        raise ImageTestError(f"`{' '.join(command)}` exited with `{finished.returncode}`:\n{complaint}")
    return finished.stdout


def check(holds: bool, message: str) -> None:
    """`holds` is true; else the test ends with `message`."""
    if not holds:
        raise ImageTestError(message)


def require_tools() -> None:
    """Every program is at hand and may do its work; else the error names what is missing."""
    missing = " ".join(
        sorted({package for tool, package in PACKAGE_OF.items() if shutil.which(tool) is None})
    )
    if missing:
        raise ImageTestError(f"missing Debian packages: `{missing}`; run `apt-get install {missing}`")
    if os.geteuid():
        raise ImageTestError(f"a root file system is built as root, got user id `{os.geteuid()}`; use `sudo`")
