"""The installer: it checks before it changes anything, and a version that does not start is taken back."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
INSTALL = DEPLOY / "install.sh"
# Stands for systemctl: it notes what it is asked, and a version that is named in `broken` does not start.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {folder}/asked
current=$(readlink {folder}/root/opt/adaptact/current)
[ "$1" != restart ] || [ "$current" != "$(cat {folder}/broken 2>/dev/null)" ]
"""
METADATA = "Metadata-Version: 2.4\nName: adaptact\nVersion: {version}\nProvides-Extra: serve\n"
PROGRAM = "import sys\n\ndef main() -> None:\n    print('adaptact {version}')\n"


def write_wheels(folder: Path, version: str) -> None:
    """A wheel of ours that can say its version, and no more, with the sums."""
    folder.mkdir()
    path, info = folder / f"adaptact-{version}-py3-none-any.whl", f"adaptact-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("adaptact.py", PROGRAM.format(version=version))
        archive.writestr(f"{info}/METADATA", METADATA.format(version=version))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\nadaptact = adaptact:main\n")
        archive.writestr(f"{info}/RECORD", "")
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")


class Machine:
    """A root folder of its own, with a systemctl that only takes notes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.root.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        (programs / "systemctl").write_text(SYSTEMCTL.format(folder=folder))
        (programs / "systemctl").chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    @property
    def home(self) -> Path:
        return self.root / "opt" / "adaptact"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(INSTALL), "--root", str(self.root), *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False, cwd=self.folder
        )

    def has_model(self) -> None:
        (self.root / "srv" / "adaptact" / "models" / "digits").mkdir(parents=True)

    def has_version(self, version: str) -> None:
        """As if it had been installed before."""
        (self.home / "versions" / version).mkdir(parents=True)
        (self.home / "versions" / version / ".complete").touch()

    def links(self) -> dict[str, str]:
        return {path.name: os.readlink(path) for path in self.home.iterdir() if path.is_symlink()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_changed(machine: Machine, tmp_path: Path) -> None:
    done = machine.run("--wheels", str(tmp_path / "none"), "--python", "/bin/false")
    assert done.returncode == 1
    assert "`/bin/false` is no Python of 3.11 or newer" in done.stderr
    assert "has no SHA256SUMS" in done.stderr
    assert done.stderr.endswith("nothing was changed\n")
    assert list(machine.root.iterdir()) == []


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_wheels_that_are_not_the_bundle_s_are_refused(damage: str, machine: Machine, tmp_path: Path) -> None:
    write_wheels(tmp_path / "wheels", "1.0")
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    if damage == "changed":
        wheel.write_bytes(wheel.read_bytes() + b"\0")
    elif damage == "missing":
        wheel.unlink()
    else:
        (tmp_path / "wheels" / "numpy-99.0-py3-none-any.whl").touch()
    done = machine.run("--wheels", str(tmp_path / "wheels"), "--python", sys.executable)
    assert (done.returncode, list(machine.root.iterdir())) == (1, [])


@pytest.mark.slow
def test_a_version_is_installed_without_an_index_and_waits_for_a_model(
    machine: Machine, tmp_path: Path
) -> None:
    write_wheels(tmp_path / "wheels", "1.0")
    done = machine.run("--wheels", str(tmp_path / "wheels"), "--python", sys.executable)
    assert done.returncode == 0, done.stderr
    program = machine.home / "current" / "bin" / "adaptact"
    told = subprocess.run([program], env={}, capture_output=True, text=True, check=True)
    assert told.stdout == "adaptact 1.0\n"
    assert machine.links() == {"current": "versions/1.0"}
    units = {path.name for path in (machine.root / "etc" / "systemd" / "system").iterdir()}
    assert units == {path.name for path in (DEPLOY / "systemd").iterdir()}
    assert "holds no model yet: put one there" in done.stdout
    assert not [line for line in (tmp_path / "asked").read_text().splitlines() if "start" in line]


def test_an_upgrade_keeps_the_version_before_and_can_be_taken_back(machine: Machine, tmp_path: Path) -> None:
    machine.has_model()
    for version in ("1.0", "2.0"):
        machine.has_version(version)
        write_wheels(tmp_path / version, version)
        done = machine.run("--wheels", str(tmp_path / version), "--python", sys.executable)
        assert done.returncode == 0, done.stderr
    assert machine.links() == {"current": "versions/2.0", "previous": "versions/1.0"}
    assert machine.run("--rollback").returncode == 0
    assert machine.links() == {"current": "versions/1.0", "previous": "versions/2.0"}


def test_a_version_that_does_not_become_ready_is_taken_back(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("versions/2.0")
    machine.has_model()
    outcomes = []
    for version in ("1.0", "2.0"):
        machine.has_version(version)
        write_wheels(tmp_path / version, version)
        outcomes.append(machine.run("--wheels", str(tmp_path / version), "--python", sys.executable))
    assert [done.returncode for done in outcomes] == [0, 1]
    assert "2.0 did not become ready; 1.0 runs again" in outcomes[1].stderr
    assert machine.links() == {"current": "versions/1.0"}


def test_shellcheck_finds_nothing() -> None:
    command = [str(Path(sys.executable).with_name("shellcheck")), str(INSTALL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_without_a_version_before_there_is_nothing_to_go_back_to(machine: Machine) -> None:
    done = machine.run("--rollback")
    assert done.returncode == 1
    assert "names no version to go back to" in done.stderr


def test_a_version_that_cannot_be_installed_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    write_wheels(tmp_path / "wheels", "1.0")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" != venv ] || {{ mkdir "$3"; exit 1; }}\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    done = machine.run("--wheels", str(tmp_path / "wheels"), "--python", str(python))
    assert done.returncode == 1
    assert "what ran before still runs" in done.stderr
    assert list((machine.home / "versions").iterdir()) == []
    assert not (machine.home / "current").exists()
