"""The memory that a model takes: expected of its files, measured once it is loaded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adaptact.memory import release_free_pages

STATUS = Path("/proc/self/status")
RESIDENT = re.compile(r"^Rss(Anon|File):\s+(\d+) kB$", re.MULTILINE)
PLAIN_GROWTH = 2
"""So many times its files' size a model takes: weights as they are, and as kernels want them."""
MOST_GROWTH, MOST_MORE = 4, 16 * 2**20
"""What is more, another load or run has taken meanwhile."""
LEAST = 2**20
SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([KMGT])(i?))?B?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes."""

    shared: int = 0
    """That all processes have together."""
    own: int = 0
    """That each process has for itself."""

    def count(self, processes: int) -> int:
        """The bytes of so many processes."""
        return self.shared + processes * self.own


def read_resident() -> ModelMemory:
    """What this process has in memory and does not only keep; nothing where the system does not say."""
    release_free_pages()
    try:
        found = {name: 1024 * int(size) for name, size in RESIDENT.findall(STATUS.read_text())}
    except OSError:
        found = {}
    return ModelMemory(found.get("File", 0), found.get("Anon", 0))


def expect_memory(file_bytes: int, *, is_shared: bool) -> ModelMemory:
    """What a model of such files takes, before it is loaded."""
    return ModelMemory(file_bytes, LEAST) if is_shared else ModelMemory(0, PLAIN_GROWTH * file_bytes + LEAST)


def measure_memory(before: ModelMemory, file_bytes: int, *, is_shared: bool) -> ModelMemory:
    """What a model has taken since, as far as that can be: the process does other things meanwhile."""
    now = read_resident()
    most = MOST_GROWTH * file_bytes + MOST_MORE
    if is_shared:
        shared = min(max(now.shared - before.shared, file_bytes // 2), most)
        return ModelMemory(shared, min(max(now.own - before.own, LEAST), most))
    return ModelMemory(0, min(max(now.own - before.own, file_bytes, LEAST), most))


def add_up(amounts: Iterable[ModelMemory]) -> ModelMemory:
    """Of several models together."""
    given = list(amounts)
    return ModelMemory(sum(each.shared for each in given), sum(each.own for each in given))


def parse_size(text: str) -> int:
    """The bytes of a text such as `512MiB`, `4 Gi` or `1.5GB`; raises ValueError for another one."""
    found = SIZE.fullmatch(text)
    if found is None:
        raise ValueError(
            f"`{text}` is no size; expected bytes, or a number with KiB, MiB, GiB, TiB, KB, MB, GB or TB"
        )
    number, unit, is_binary = found.groups()
    power = "KMGT".index(unit.upper()) + 1 if unit else 0
    return int(float(number) * (1024 if is_binary else 1000) ** power)


def format_size(size: float) -> str:
    """The bytes for a person."""
    return f"{size / 2**20:,.0f} MiB"
