"""Writes the blocking client from the asynchronous one: `make client`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

CLIENT = Path(__file__).parents[1] / "serve" / "client"
SOURCE, TARGET = CLIENT / "asynchronous.py", CLIENT / "synchronous.py"
FIRST_LINE = f"# Generated from {SOURCE.name} by `make client`; do not edit.\n"
NAMES = {
    "AsyncClient": "Client",
    "AsyncRetrying": "Retrying",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "async_time_limit": "time_limit",
}


def generate_client() -> str:
    """The blocking client's file, formatted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "async" / SOURCE.name, folder / "sync" / SOURCE.name
        source.parent.mkdir()
        source.write_text(SOURCE.read_text())
        rule = unasync.Rule(f"{source.parent}/", f"{target.parent}/", NAMES)
        unasync.unasync_files([str(source)], [rule])
        text = target.read_text()
    return FIRST_LINE + _ruff("format", "-", text=_ruff("check", "--fix-only", "--quiet", "-", text=text))


def _ruff(*arguments: str, text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(TARGET)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    TARGET.write_text(generate_client())
