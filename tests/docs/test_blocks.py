"""Every command line and code block of the README and of docs runs, in its order, from an empty folder.

A page that goes on from another is run in a copy of its folder. `make test` runs the pages of SUITE,
`make docs-test` all of them.
"""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.page import PAGES, ROOT, RUN, SHOWN, find_previous, read_blocks
from tests.docs.reader import follow

SUITE = {"README", "operating", "models", "client", "swapping", "training"}
# So many blocks have a reason not to be run: they need Docker, install packages or take long.
NOT_RUN = {
    "README.md": 2,
    "docs/ab-test.md": 1,
    "docs/client.md": 2,
    "docs/cluster.md": 4,
    "docs/converting.md": 1,
    "docs/describing.md": 1,
    "docs/docker.md": 9,
    "docs/dossier.md": 1,
    "docs/experiments.md": 1,
    "docs/fleet.md": 2,
    "docs/grpc.md": 1,
    "docs/observability.md": 3,
    "docs/installing.md": 3,
    "docs/kubernetes.md": 1,
    "docs/operating.md": 1,
    "docs/serving.md": 2,
    "docs/sources.md": 6,
    "docs/spark.md": 1,
    "docs/study.md": 2,
    "docs/supply-chain.md": 1,
    "docs/swapping.md": 1,
    "docs/systemd.md": 1,
    "docs/tonight.md": 1,
}


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _read_chains() -> dict[Path, list[Path]]:
    """The first page of each chain, and all its pages, each behind the one that it goes on from."""
    runnable = [page for page in PAGES if any(block.is_used for block in read_blocks(page))]
    if "ADAPTACT_DOCS" not in os.environ:
        runnable = [page for page in runnable if page.stem in SUITE]
    chains: dict[Path, list[Path]] = {}
    waiting = list(runnable)
    while waiting:
        page = waiting.pop(0)
        previous = find_previous(page)
        if previous is None:
            chains[page] = [page]
        elif chain := next((pages for pages in chains.values() if previous in pages), None):
            chain.append(page)
        else:
            assert previous in waiting, f"{page.name} goes on from {previous.name}, which is not run"
            waiting.append(page)
    return chains


CHAINS = _read_chains()


@pytest.mark.slow
@pytest.mark.parametrize("first", CHAINS, ids=_name)
def test_the_blocks_of_a_page_and_of_those_that_go_on_from_it_run(first: Path, tmp_path: Path) -> None:
    for page in CHAINS[first]:
        folder = tmp_path / page.stem
        previous = find_previous(page)
        if previous is None:
            folder.mkdir()
        else:
            shutil.copytree(tmp_path / previous.stem, folder)
        follow(page, folder, tmp_path / "notes" / page.stem)


def test_every_block_names_a_language_that_is_run_or_shown() -> None:
    blocks = [block for page in PAGES for block in read_blocks(page)]
    assert [block.place for block in blocks if block.language not in (*RUN, *SHOWN)] == []


def test_every_fence_is_read_as_a_block() -> None:
    for page in PAGES:
        fences = page.read_text(encoding="utf-8").count("```")
        assert fences == 2 * len(read_blocks(page)), page.name


def test_blocks_that_are_not_run_are_counted() -> None:
    blocks = [(_name(page), block) for page in PAGES for block in read_blocks(page)]
    assert Counter(page for page, block in blocks if block.reason) == NOT_RUN


def test_command_lines_may_be_pasted_into_any_shell() -> None:
    """An interactive zsh takes `#` for a word, and reads `?`, `*` and `[` outside quotes as patterns."""
    lines = [
        (block.place, line)
        for page in PAGES
        for block in read_blocks(page)
        if block.language == "sh"
        for line in block.code.splitlines()
    ]
    assert [found for found in lines if "#" in _strip_quoted(found[1])] == []


def _strip_quoted(line: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
