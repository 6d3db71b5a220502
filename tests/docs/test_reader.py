"""What a reader makes of a page: files, sessions, what fails and where."""

from pathlib import Path

import pytest

from tests.docs.page import find_previous, read_blocks
from tests.docs.reader import follow

SERVER = """\
```sh
export SERVED=models
adaptact serve --models $SERVED
```
"""


def _write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def _follow(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "empty folder"
    folder.mkdir()
    follow(_write(tmp_path, text), folder, tmp_path / "notes")
    return folder


def test_files_and_both_sessions_are_those_of_one_folder(tmp_path: Path) -> None:
    text = """\
```python title="net/net.py"
NUMBER = 7
```
```python
import sys
sys.path.insert(0, "net")
```
```python
from net import NUMBER
open("number", "w").write(str(NUMBER))
```
1. a list
   ```sh
   export FOUND=$(cat number)
   cd net
   ```
```sh
echo "$FOUND" > found
```
```json
{"not": run}
```
"""
    assert (_follow(tmp_path, text) / "net" / "found").read_text() == "7\n"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```sh\nls nothing\ntouch here\n```", "page.md:2 failed:\n.*nothing"),
        ("\n```python\n1 / 0\n```", "page.md:3 failed:\n.*ZeroDivisionError"),
        ("<!-- exit status 3 -->\n```sh\nexit 2\n```", "page.md:3 ended with 2, not 3"),
        ("```sh\ncurl http://localhost:8000/\n```", "page.md:2 failed:\n.*[Cc]onnect"),
        pytest.param(SERVER, "page.md:2 failed:\n.*models", marks=pytest.mark.slow, id="server"),
    ],
)
def test_a_failure_names_its_place_and_what_was_printed(block: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"(?s){said}"):
        _follow(tmp_path, block)
    assert not (tmp_path / "empty folder" / "here").exists()


def test_an_expected_status_and_what_is_not_run(tmp_path: Path) -> None:
    expected = "<!-- exit status 22 -->\n```sh\nexit 22\n```\n"
    skipped = "<!-- not run: it fails -->\n```sh\nexit 1\n```\n"
    page = _write(tmp_path, expected + skipped)
    assert [block.reason for block in read_blocks(page)] == [None, "it fails"]
    follow(page, tmp_path, tmp_path / "notes")


def test_the_page_before_is_the_one_that_the_text_names(tmp_path: Path) -> None:
    page = _write(tmp_path, "After [this](a.md). It goes\non from\n[that](../b.md#part), and [others](c.md).")
    assert find_previous(page) == tmp_path.parent / "b.md"
