"""A PostgreSQL server of Debian's package for one test run: in a temporary folder, on a unix socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_USER = "postgres"


def _find_programs() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not folders or not (folders[-1] / "initdb").exists():
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return folders[-1]


def _user() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        pytest.skip(f"PostgreSQL refuses to run as root, and there is no user {_USER}")
    return _USER


@contextmanager
def running_server() -> Iterator[str]:
    """The URL of an empty database; the server and its folder are gone at the end."""
    programs, user = _find_programs(), _user()
    # Not pytest's folder: the path of a unix socket is short, and the other user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    settings = f"-k {folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c max_connections=40"
    try:
        run("initdb", "-U", _USER, "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        run("pg_ctl", "start", "-w", "-t", "120", "-o", settings, "-l", str(folder / "log"))
        try:
            yield f"postgresql://{_USER}@/{_USER}?host={folder}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
