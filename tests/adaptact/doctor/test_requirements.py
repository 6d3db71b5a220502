from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from adaptact.doctor import requirements
from adaptact.doctor.requirements import CORE, read_extras

LINES = [
    "numpy>=2.0",
    "uvloop>=0.21; sys_platform == 'nowhere'",
    "torch>=2.13; extra == 'train'",
    "adaptact[train]; extra == 'convert'",
    "onnx>=1.23 ; (python_version >= '3.11') and extra == 'convert'",
    "adaptact[convert]; extra == 'train'",
    "uvloop>=0.21; (sys_platform == 'nowhere') and extra == 'convert'",
    "a bad line; extra == 'convert'",
    "pytest; extra == 'dev'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions by name, of packages without a clone of adaptact."""
    versions: dict[str, str] = {}

    def look_up(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(requirements, "version", look_up)
    monkeypatch.setattr(requirements, "find_clone", lambda: None)
    monkeypatch.setattr(requirements, "requires", lambda _: LINES)
    return versions


def test_each_extra_has_its_packages_and_those_of_others(installed: dict[str, str]) -> None:
    installed["torch"] = "2.12.1+cpu"
    installed["numpy"] = "2.4.0"
    found = read_extras()
    assert {name: sorted(package.name for package in each) for name, each in found.items()} == {
        CORE: ["numpy"],
        "train": ["onnx", "torch"],
        "convert": ["onnx", "torch"],
    }
    torch = next(package for package in found["convert"] if package.name == "torch")
    assert (torch.supported, torch.installed, torch.is_supported) == (">=2.13", "2.12.1+cpu", False)
    (numpy,) = found[CORE]
    assert numpy.is_supported


@pytest.mark.parametrize("version", ["", "not a version", "2.13.0.dev1+git"])
def test_any_version_can_be_installed(version: str, installed: dict[str, str]) -> None:
    installed["torch"] = version
    assert any(package.installed == version for package in read_extras()["train"])


def test_an_installation_without_metadata_has_no_extras(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> list[str]:
        raise PackageNotFoundError

    monkeypatch.setattr(requirements, "requires", missing)
    assert read_extras() == {CORE: ()}


def test_a_clone_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = ['numpy']\n[project.optional-dependencies]\nx = ['not-to-be-had']\n"
    )
    monkeypatch.setattr(requirements, "find_clone", lambda: tmp_path)
    found = read_extras()
    assert [package.name for package in found[CORE]] == ["numpy"]
    assert [package.installed for package in found["x"]] == [None]
