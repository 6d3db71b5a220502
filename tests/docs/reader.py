"""A reader who follows a page: in one folder, one shell, one Python session, with one server at a time."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.docs.page import ROOT, Block, read_blocks
from tests.docs.session import DONE, Session
from tests.serve.process import free_port
from tests.waiting import until

PORTS = ("8000", "8001")
DOUBLES = Path(__file__).parent / "doubles"
_SERVES = re.compile(r"^(?:\w+=\S+ )*adaptact[- ]serve (?!.*--help)", re.MULTILINE)
_PYTHON = f"""\
import sys
names = {{"__name__": "__main__"}}
for path in iter(sys.stdin.readline, ""):
    with open(path.strip()) as file:
        exec(compile(file.read(), path.strip(), "exec"), names)
    print("{DONE} 0", flush=True)
"""


def follow(page: Path, folder: Path, notes: Path, shell: str = "bash") -> None:
    """Run the page's blocks in the folder; an error says at which block, and what was printed.

    The page's ports are replaced by free ones, both in its text and where a command takes them by default.
    """
    ports = {port: str(free_port()) for port in PORTS}
    notes.mkdir(parents=True)
    # What is answered with an error has failed, whether or not the page has curl say so.
    (notes / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    blocks = read_blocks(page)
    environment = _make_environment(notes, ports)
    if any(block.is_used and "timm" in block.code for block in blocks):
        # It asks for torchvision. Others use torchvision where it is there, and find the double out.
        environment["PYTHONPATH"] += f":{DOUBLES}"
    with (
        Session([shell, "-e", "-s"], folder, environment) as commands,
        Session([sys.executable, "-c", _PYTHON], folder, environment) as python,
    ):
        reader = _Reader(folder, notes, commands, python)
        for block in blocks:
            reader.take(block, re.sub("|".join(PORTS), lambda match: ports[match[0]], block.code))
        reader.stop_server()


def _make_environment(notes: Path, ports: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTACT_")}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CURL_HOME": str(notes),
        "XDG_CACHE_HOME": str(notes / "cache"),
        "ADAPTACT_PORT": ports["8000"],
        "ADAPTACT_URL": f"http://127.0.0.1:{ports['8000']}",
        "ADAPTACT_WORKERS": "1",
    }


class _Reader:
    """What is open while a page is read."""

    def __init__(self, folder: Path, notes: Path, commands: Session, python: Session) -> None:
        self._folder, self._notes = folder, notes
        self._commands, self._python = commands, python
        self._has_server = False

    def take(self, block: Block, code: str) -> None:
        """Save the block, or run it, or pass it over."""
        if not block.is_used:
            return
        if block.title is not None:
            path = self._folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
            return
        path = self._notes / f"block-{block.place.rpartition(':')[2]}"
        path.write_text(code, encoding="utf-8")
        if block.language == "python":
            self._python.run(block.place, str(path))
        elif _SERVES.search(code):
            self._serve(block, code, path)
        else:
            self._source(block, path)

    def stop_server(self) -> None:
        """Stop it as Ctrl-C does; it ends without an error."""
        if self._has_server:
            self._commands.run("stopping the server", f"kill $server; wait $server; echo '{DONE} 0'")
        self._has_server = False

    def _serve(self, block: Block, code: str, path: Path) -> None:
        """Run the block, whose last command is a server, until that answers."""
        self.stop_server()
        log = path.with_suffix(".log")
        log.touch()
        path.write_text(f"{code.rstrip()} >>'{log}' 2>&1 &\nserver=$!\necho $server\n", encoding="utf-8")
        number = int(self._source(block, path).split()[-1])
        self._has_server = True
        until(lambda: " serves " in log.read_text(encoding="utf-8") or not psutil.pid_exists(number))
        said = log.read_text(encoding="utf-8")
        assert " serves " in said, f"{block.place} failed:\n{said}"

    def _source(self, block: Block, path: Path) -> str:
        if block.status:
            line = f"(. '{path}') </dev/null || echo '{DONE}' $?"
        else:
            line = f". '{path}' </dev/null; echo '{DONE} 0'"
        return self._commands.run(block.place, line, block.status)
