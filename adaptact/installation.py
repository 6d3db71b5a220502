"""Where this adaptact was installed from, and the command that adds what an extra needs.

Standard library only: it is asked where something is missing.
"""

import json
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "adaptact"
_CLONE = Path(__file__).parents[1]


def install_line(extra: str) -> str:
    """The command that installs what the extra needs into this environment, from where adaptact came.

    The name alone finds nothing on a public index: a clone, a wheel or a repository is named as it was when
    adaptact was installed.
    """
    return f"{_pip()} install {shlex.quote(_requirement(extra))}"


def find_clone() -> Path | None:
    """The clone that the packages lie in; None where they were installed without it."""
    return _CLONE if _is_clone(_CLONE) else None


def describe_origin() -> str:
    """The clone, the wheel or the address that adaptact was installed from, or that it came from an index."""
    return _requirement("").removeprefix(f"{DISTRIBUTION} @ ") if _is_known() else "an index"


def _is_known() -> bool:
    return _is_clone(_CLONE) or bool(_read_direct_url())


def _requirement(extra: str) -> str:
    suffix = f"[{extra}]" if extra else ""
    if _is_clone(_CLONE):  # it runs from there, whatever was installed
        return f"{_CLONE}{suffix}"
    record = _read_direct_url()
    url = str(record.get("url", ""))
    if not url:
        return f"{DISTRIBUTION}{suffix}"
    folder = Path(unquote(urlsplit(url).path))
    if url.startswith("file:") and "dir_info" in record:
        return f"{folder}{suffix}"
    version = record.get("vcs_info")
    if isinstance(version, dict):
        url = f"{version.get('vcs', 'git')}+{url}@{version.get('commit_id', '')}"
    return f"{DISTRIBUTION}{suffix} @ {url}"


def _is_clone(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()


def _read_direct_url() -> dict[str, Any]:
    """What pip, uv and others note of an installation that was not from an index (PEP 610)."""
    try:
        record = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError, OSError):
        return {}
    return record if isinstance(record, dict) else {}


def _pip() -> str:
    """pip by its own name where the shell finds this environment's, else by this environment's Python."""
    found = shutil.which("pip")
    same = found is not None and Path(found).parent == Path(sys.executable).parent
    return "pip" if same else f"{shlex.quote(sys.executable)} -m pip"
