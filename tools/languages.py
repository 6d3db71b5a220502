"""Writes the catalogues of the languages from the messages in the code: `make languages`.

Messages are the literals in `say("…")`, `say_all("…", …)`, `translate("…", …)` and `mark("…")` in Python, two
of them in `say_count` and `translate_count`; in the console's JavaScript those in `t("…")` and `mark("…")`;
and the errors and reasons that `tools/reasons.py` finds.
New ones come into `adaptact.po` without Japanese, and the ones that nothing says any more leave it.
"""

import ast
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tools.reasons import is_read, read_reasons

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "adaptact" / "languages" / "locales" / "ja"
SOURCE, COMPILED, CONSOLE = FOLDER / "adaptact.po", FOLDER / "adaptact.mo", FOLDER / "ja.json"
PACKAGES = ("adaptact", "adaptive_act", "convert", "serve")
SCRIPTS = "serve/console"

_SINGLE, _COUNTED = ("say", "say_all", "translate", "mark"), ("say_count", "translate_count")
_CALL = re.compile(r"""(?<![\w.$])(?:t|mark)\(\s*("(?:[^"\\\n]|\\.)*")\s*[,)]""")

Text = str | tuple[str, ...]


class _Dateless(Catalog):
    """Equal messages give equal files: no date and no version of a tool is in its header."""

    @property  # type: ignore[misc]  # there it can be set
    def mime_headers(self) -> list[tuple[str, str]]:
        """What readers need to know of the messages."""
        return [
            ("Language", "ja"),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def find_messages(root: Path = ROOT) -> dict[Text, set[str]]:
    """The messages in the code, each with the files that say it."""
    found: dict[Text, set[str]] = {}
    for path in _list_files(root):
        place = path.relative_to(root).as_posix()
        read = _read_script if path.suffix == ".js" else _read_python
        for text in read(path):
            found.setdefault(text, set()).add(place)
        for reason in read_reasons(path) if is_read(place) else ():
            found.setdefault(reason, set()).add(place)
    return found


def update_catalogue(messages: dict[Text, set[str]], known: Catalog) -> Catalog:
    """The catalogue of exactly these messages, with what is known of them."""
    catalogue = _Dateless(locale="ja", header_comment="# Japanese texts of adaptact.", fuzzy=False)
    for text, places in sorted(messages.items(), key=lambda entry: str(entry[0])):
        before = known.get(text)
        translated = before.string if before is not None and not before.fuzzy else ""
        catalogue.add(text, translated or "", locations=[(place, 1) for place in sorted(places)])
    return catalogue


def read_catalogue(path: Path = SOURCE) -> Catalog:
    """The catalogue in the file; an empty one where there is none."""
    if not path.exists():
        return Catalog(locale="ja")
    with path.open("rb") as file:
        return read_po(file, locale="ja")


def render(catalogue: Catalog) -> dict[Path, bytes]:
    """The content of each file that is committed."""
    source, compiled = io.BytesIO(), io.BytesIO()
    write_po(source, catalogue, include_lineno=False, sort_output=True, width=110)
    write_mo(compiled, catalogue)
    entries = {
        str(message.id): str(message.string)
        for message in catalogue
        if message.id and any(place.startswith(SCRIPTS) for place, _ in message.locations)
    }
    console = json.dumps(entries, ensure_ascii=False, sort_keys=True, indent=0) + "\n"
    return {SOURCE: source.getvalue(), COMPILED: compiled.getvalue(), CONSOLE: console.encode()}


def list_missing(catalogue: Catalog) -> list[str]:
    """The messages without Japanese."""
    return [str(message.id) for message in catalogue if message.id and not _is_translated(message)]


def list_texts(message: Message) -> Sequence[str]:
    """The Japanese of the message: one text, or one for each form of counting."""
    return (message.string,) if isinstance(message.string, str) else message.string or ("",)


def _is_translated(message: Message) -> bool:
    return all(list_texts(message))


def _list_files(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))
    yield from sorted(path for path in (root / SCRIPTS).rglob("*.js") if "vendor" not in path.parts)


def _read_python(path: Path) -> Iterator[Text]:
    content = path.read_bytes()
    if b"adaptact.languages" not in content:
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = _read_literals(node)
            if name in _COUNTED and len(texts) >= 2:
                yield texts[0], texts[1]
            elif name in _SINGLE:
                yield from texts if name == "say_all" else texts[:1]


def _read_literals(call: ast.Call) -> list[str]:
    return [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def _read_script(path: Path) -> Iterator[Text]:
    """The literals of `t("…")`, also those within template strings, which Babel's own reader skips."""
    yield from (json.loads(found[1]) for found in _CALL.finditer(path.read_text(encoding="utf-8")))


def main() -> None:
    """Write the files, and name what has no Japanese yet."""
    catalogue = update_catalogue(find_messages(), read_catalogue())
    for path, content in render(catalogue).items():
        path.write_bytes(content)
    for text in list_missing(catalogue):
        sys.stderr.write(f"no Japanese: {text}\n")


if __name__ == "__main__":
    main()
