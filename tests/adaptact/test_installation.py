import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from adaptact import installation
from adaptact.installation import describe_origin, install_line


class Recorded:
    """A distribution with this `direct_url.json`."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def read_text(self, _: str) -> str | None:
        return self.text


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The packages lie in no clone, and the shell finds this environment's pip."""
    monkeypatch.setattr(installation, "_CLONE", tmp_path)
    (tmp_path / "pip").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return monkeypatch


def record(installed: pytest.MonkeyPatch, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    installed.setattr(installation, "distribution", lambda _: Recorded(text))


@pytest.mark.parametrize(
    ("value", "requirement"),
    [
        ({"url": "file:///a%20b/clone", "dir_info": {"editable": True}}, "/a b/clone[serve]"),
        (
            {"url": "file:///w/adaptact-0.1.0-py3-none-any.whl", "archive_info": {}},
            "adaptact[serve] @ file:///w/adaptact-0.1.0-py3-none-any.whl",
        ),
        (
            {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "adaptact[serve] @ git+https://h/r.git@abc",
        ),
        ({}, "adaptact[serve]"),
        ("[]", "adaptact[serve]"),
        ("{", "adaptact[serve]"),
    ],
)
def test_the_line_names_where_adaptact_came_from(
    value: object, requirement: str, installed: pytest.MonkeyPatch
) -> None:
    record(installed, value)
    assert shlex.split(install_line("serve")) == ["pip", "install", requirement]


def test_an_installation_without_a_record_came_from_an_index(installed: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Recorded:
        raise PackageNotFoundError

    installed.setattr(installation, "distribution", missing)
    assert install_line("serve") == "pip install 'adaptact[serve]'"
    assert describe_origin() == "an index"


def test_packages_that_lie_in_a_clone_name_it() -> None:
    clone = Path(__file__).parents[2]
    assert shlex.split(install_line("convert"))[-1] == f"{clone}[convert]"
    assert describe_origin() == str(clone)


def test_another_environments_pip_is_not_named(installed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record(installed, {})
    installed.setattr(sys, "executable", str(tmp_path / "own" / "python"))
    assert install_line("serve") == f"{tmp_path}/own/python -m pip install 'adaptact[serve]'"
