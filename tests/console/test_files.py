"""The files of the console: their weight, what the policy allows, and the libraries as published."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from serve.rest.console import read_console

ROOM = Path(__file__).parents[2] / "serve" / "console"
OWN = sorted(path for path in ROOM.rglob("*.js") if "vendor" not in path.parts)
MODULE = re.compile(r"""(?:from|import)\s*\(?\s*["']([^"']+)["']""")
MOST_BYTES = 300 * 1024


def _name(path: Path) -> str:
    return path.relative_to(ROOM).as_posix()


def test_all_files_weigh_no_more_than_300_kilobytes_compressed() -> None:
    weights = {name: len(gzip.compress(file.content)) for name, file in read_console().items()}
    assert sum(weights.values()) < MOST_BYTES, weights


def test_the_libraries_are_those_of_their_bill_of_materials() -> None:
    vendor = ROOM / "vendor"
    bill = json.loads((vendor / "libraries.cdx.json").read_text())
    listed = {
        file["name"]: file["hashes"] for library in bill["components"] for file in library["components"]
    }
    files = {
        path.relative_to(ROOM.parents[1]).as_posix(): [
            {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}
        ]
        for path in vendor.iterdir()
        if path.suffix in {".js", ".css"}
    }
    assert listed == files


@pytest.mark.slow
def test_the_bill_of_materials_is_cyclonedx() -> None:
    text = (ROOM / "vendor" / "libraries.cdx.json").read_text()
    # Imported here: their grammars take a second, which every process that collects the tests would spend.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_scripts_import_only_files_that_are_there() -> None:
    for path in ROOM.rglob("*.js"):
        for module in MODULE.findall(path.read_text(encoding="utf-8")):
            assert module.startswith("."), f"{_name(path)}: {module}"
            assert (path.parent / module).resolve().is_file(), f"{_name(path)}: {module}"


def test_scripts_make_no_markup_of_texts_and_evaluate_none() -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacent|dangerouslySet|document\.write|\beval\(|new Function|javascript:"
    )
    assert [_name(path) for path in OWN if re.search(forbidden, path.read_text(encoding="utf-8"))] == []


def test_requests_are_sent_by_one_module() -> None:
    senders = [_name(path) for path in OWN if "fetch(" in path.read_text(encoding="utf-8")]
    assert senders == ["api.js", "language.js"]  # the latter reads the catalogue, which needs no key


def test_a_script_is_one_concept() -> None:
    long = [_name(path) for path in OWN if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert long == []


def test_the_page_holds_neither_script_nor_style_nor_address_of_another_site() -> None:
    page = (ROOM / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?:", page)
    loaded = re.findall(r'(?:href|src)="([^"]+)"', page)
    console = read_console()
    assert [name for name in loaded if name.removeprefix("/console/") not in console] == []
