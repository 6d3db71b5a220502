"""The catalogues: complete, equal to what the tool writes, and filled in alike in both languages."""

import json
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog

from tools.languages import (
    CONSOLE,
    find_messages,
    list_missing,
    list_texts,
    read_catalogue,
    render,
    update_catalogue,
)


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return update_catalogue(find_messages(), read_catalogue())


@pytest.mark.slow
def test_the_committed_files_are_those_that_the_tool_writes(catalogue: Catalog) -> None:
    differing = [path.name for path, content in render(catalogue).items() if path.read_bytes() != content]
    assert differing == [], "run `make languages`"


def test_no_message_lacks_japanese(catalogue: Catalog) -> None:
    assert list_missing(catalogue) == []


def test_both_languages_have_the_same_places(catalogue: Catalog) -> None:
    wrong = [
        message.id
        for message in catalogue
        if message.id
        for text in list_texts(message)
        if text
        and _list_places(text) != _list_places(message.id if isinstance(message.id, str) else message.id[1])
    ]
    assert wrong == []


def _list_places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


PYTHON = """
from adaptact.languages.spoken import say, say_all, say_count
say("one {x}", x=say("in" "side"))
self.say("of a method")
say_all("a", "b")
say_count("{number} cat", "{number} cats", n)
say(variable)
say(f"{formatted}")
"""
SCRIPT = r"""
const a = html`<p title="${t("in a template")}">
  ${x.map((i) => html`<b>${t("nested \"quotes\"", { name: i })}</b>`)}</p>`;
const words = {ramp: mark("ramp")};
t(words.ramp); format("no"); at("no"); list.t("no");
"""


def test_messages_are_found_in_python_and_in_scripts(tmp_path: Path) -> None:
    console = tmp_path / "serve" / "console"
    (console / "vendor").mkdir(parents=True)
    (tmp_path / "serve" / "said.py").write_text(PYTHON)
    (tmp_path / "serve" / "silent.py").write_text('say("of another package")')
    (console / "page.js").write_text(SCRIPT)
    (console / "vendor" / "library.js").write_text('t("no")')
    found = find_messages(tmp_path)
    python = {"one {x}", "inside", "of a method", "a", "b", ("{number} cat", "{number} cats")}
    assert set(found) == python | {"in a template", 'nested "quotes"', "ramp"}
    assert found["ramp"] == {"serve/console/page.js"}


def test_new_messages_come_and_old_ones_leave() -> None:
    known = Catalog(locale="ja")
    known.add("kept", "残る")
    known.add("gone", "消える")
    catalogue = update_catalogue({"kept": {"serve/console/a.js"}, "new": {"serve/b.py"}}, known)
    assert {message.id: message.string for message in catalogue if message.id} == {"kept": "残る", "new": ""}
    assert list_missing(catalogue) == ["new"]
    assert json.loads(render(catalogue)[CONSOLE]) == {"kept": "残る"}
