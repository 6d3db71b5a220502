import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.sbom import PAGE, list_licences, read_environment, write_page

LICENCES = [
    ([{"license": {"id": "MIT"}}, {"license": {"name": "License :: OSI Approved :: MIT License"}}], "MIT"),
    ([{"expression": "Apache-2.0 AND MIT"}], "Apache-2.0 AND MIT"),
    ([{"license": {"name": "The Licence\n\nwith all of its text"}}], "The Licence"),
    ([{"license": {"name": "x" * 500}}], "x" * 60),
    ([{"license": {"name": ""}}], "not stated"),
    ([], "not stated"),
]


def test_each_package_has_the_licence_that_it_states() -> None:
    components = [
        {"name": str(index), "version": "1", "licenses": choices}
        for index, (choices, _) in enumerate(LICENCES)
    ]
    assert [row[2] for row in list_licences({"components": components})] == [name for _, name in LICENCES]


def test_a_package_of_two_parts_has_one_row() -> None:
    bill = {"components": [{"name": "numpy", "version": "2.0", "licenses": [{"license": {"id": "MIT"}}]}]}
    assert "| numpy | 2.0 | MIT | server, converter |\n" in write_page({"server": bill, "converter": bill})


@pytest.mark.slow
def test_an_environment_is_read_whole(tmp_path: Path) -> None:
    """Two packages of this name and version, one of which says nothing of itself but that."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    for name, licence in (("one", "License-Expression: BSD-3-Clause\n"), ("two", "")):
        folder = packages / f"{name}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.5\n{licence}")
    python = tmp_path / "env" / "bin" / "python"
    bills = [read_environment(python, tmp_path / f"{time}.cdx.json") for time in (1, 2)]
    assert list(list_licences(bills[0])) == [("one", "1.5", "BSD-3-Clause"), ("two", "1.5", "not stated")]
    assert json.dumps(bills[0]) == json.dumps(bills[1])
    assert bills[0]["metadata"]["component"]["name"] == "adaptact"


def test_the_page_lists_what_the_server_cannot_do_without() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for package in ("onnxruntime", "fastapi", "uvicorn", "numpy"):
        assert [line for line in lines if line.startswith(f"| {package} |") and "server" in line]
