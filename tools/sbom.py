"""Lists what an installation consists of: `python -m tools.sbom` writes its bills of materials and licences.

For each of PARTS an environment with these extras, at the versions of constraints.txt, is built below
build/sbom. cyclonedx-py reads it into dist/adaptact-VERSION-PART.cdx.json, and docs/licences.md gets a table.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import adaptact
from adaptact.console import messages, print_line

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "sbom"
DIST = ROOT / "dist"
PAGE = ROOT / "docs" / "licences.md"
PARTS = {
    "server": ("serve", "images", "text", "telemetry", "experiments", "postgresql", "sources"),
    "converter": ("convert", "study"),
    "cluster": ("serve", "client", "cluster"),
}
CLASSIFIER = "License :: OSI Approved :: "
LONGEST_LICENCE = 60  # characters: some packages have the text itself where its name belongs
OPENING = """\
# Licences

After this page you know under which licences the packages of an installation are, at the versions of
`constraints.txt` and as the packages state it. `make sbom` writes this page, and for each part a bill of
materials in CycloneDX (`dist/adaptact-VERSION-PART.cdx.json`). The libraries of the console are in the wheel,
with a [bill of their own](../serve/console/vendor/libraries.cdx.json).
"""


def list_licences(bill: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package of a bill of materials, by name."""
    for component in sorted(bill["components"], key=lambda component: component["name"].lower()):
        yield component["name"], component.get("version", "–"), _name_licence(component.get("licenses", ()))


def _name_licence(choices: Iterable[Mapping[str, Any]]) -> str:
    """Identifiers where there are any; else the names that packages gave, cut to a line."""
    stated = [(choice.get("expression"), choice.get("license", {})) for choice in choices]
    exact = [expression or licence.get("id") for expression, licence in stated]
    names = [
        licence.get("name", "").removeprefix(CLASSIFIER).strip().partition("\n")[0] for _, licence in stated
    ]
    known = dict.fromkeys(filter(None, exact)) or dict.fromkeys(filter(None, names))
    return ", ".join(name[:LONGEST_LICENCE] for name in known) or "not stated"


def write_page(bills: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of all parts: a package once, with the parts that have it."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for part, bill in bills.items():
        for row in list_licences(bill):
            rows.setdefault(row, []).append(part)
    table = ["| package | version | licence | part |", "|---|---|---|---|"]
    for (name, version, licence), parts in sorted(rows.items(), key=lambda row: row[0][0].lower()):
        table.append(f"| {name} | {version} | {licence.replace('|', '/')} | {', '.join(parts)} |")
    return "\n".join([OPENING, *table, ""])


def build_environment(part: str, extras: Iterable[str]) -> Path:
    """The interpreter of an environment that holds these extras and nothing else, not even pip."""
    folder = FOLDER / part
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    install = ["install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *install, f"{ROOT}[{','.join(extras)}]"], check=True)
    return python


def read_environment(python: Path, output: Path) -> dict[str, Any]:
    """The bill of materials of an environment, which is in `output`, too."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--pyproject"]
    subprocess.run([*command, ROOT / "pyproject.toml", "--output-file", output, python], check=True)
    bill: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return bill


def main() -> None:
    """Build, read and write all of PARTS."""
    console = messages()
    DIST.mkdir(exist_ok=True)
    bills = {}
    for part, extras in PARTS.items():
        print_line(console, f"{part}: installing {', '.join(extras)}")
        output = DIST / f"adaptact-{adaptact.__version__}-{part}.cdx.json"
        bills[part] = read_environment(build_environment(part, extras), output)
        print_line(console, f"{output.relative_to(ROOT)}: {len(bills[part]['components'])} components")
    PAGE.write_text(write_page(bills), encoding="utf-8")
    print_line(console, str(PAGE.relative_to(ROOT)))


if __name__ == "__main__":
    main()
