"""What the documents say is true: their code runs, their lists are complete, their links lead somewhere."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adaptive_act import ACTIVATIONS
from convert.rules import RULES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    language: str
    code: str


def readme_blocks() -> list[Block]:
    """The README's blocks from a model to a prediction, in their order."""
    _, _, text = (ROOT / "README.md").read_text().partition("## From a model to a prediction")
    return [Block(*found) for found in BLOCK.findall(text)]


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.terminate()
        process.communicate(timeout=120)
        assert process.returncode == 0


@pytest.mark.slow
def test_every_block_of_the_readme_runs(tmp_path: Path, servers: list[subprocess.Popen[str]]) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"ADAPTACT_PORT": "0"}
    blocks = readme_blocks()
    assert [block.language for block in blocks] == [
        "python",
        "python",
        "sh",
        "sh",
        "sh",
        "sh",
        "python",
        "sh",
    ]
    address = written = "127.0.0.1:8000"
    for block in blocks:
        code = block.code.replace(written, address)
        if name := re.match(r"# (\w+\.py)\n", code):
            (tmp_path / name[1]).write_text(code)
        elif code.startswith("adaptact-serve"):
            servers.append(
                subprocess.Popen(
                    code.split(), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
                )
            )
            address = announced(servers[-1])
        else:
            program = [sys.executable, "-c"] if block.language == "python" else ["bash", "-ec"]
            done = subprocess.run(
                [*program, code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"


def announced(server: subprocess.Popen[str]) -> str:
    """Where the server says that it answers, which it does once it does."""
    assert server.stdout is not None
    found = re.match(r"adaptact-serve: http://(\S+) ", server.stdout.readline())
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize(("guide", "left"), [("swapping", []), ("training", ["run.csv"])])
def test_the_blocks_of_a_guide_run_one_after_another(guide: str, left: list[str], tmp_path: Path) -> None:
    blocks = [Block(*found) for found in BLOCK.findall((ROOT / "docs" / f"{guide}.md").read_text())]
    assert {block.language for block in blocks} == {"python"}
    code = "\n".join(block.code for block in blocks)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == left


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_page_of_activations_is_what_the_classes_say() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "activations.py"))["make_page"]()
    assert (ROOT / "docs" / "activations.md").read_text() == written, "run `make docs`"
    assert all(f"\n| `{name}`" in written for name in ACTIVATIONS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_documented(rule: object) -> None:
    assert f"`{getattr(rule, 'name', '')}`" in (ROOT / "docs" / "converting.md").read_text()


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (listed,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in listed.split():
        assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE), target


def test_the_readmes_tables_are_the_measured_ones() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- table of ") >= 3
    assert runpy.run_path(str(ROOT / "docs" / "readme.py"))["insert_tables"](text) == text, "run `make docs`"
