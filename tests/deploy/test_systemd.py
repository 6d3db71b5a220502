"""The units of systemd, judged by systemd's own tools where they are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serve.settings import Settings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
EXPOSURE = 15  # tenths, of 100; systemd calls 1.2 to 1.9 "OK", and a unit without settings 9.6
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def read(name: str) -> dict[str, str]:
    """The unit's settings; of one that stands twice the last."""
    return dict(re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(), re.M))


@needs_systemd
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        # The program must be there: one that is everywhere stands for ours.
        (tmp_path / unit.name).write_text(
            unit.read_text().replace("/opt/adaptact/current/bin/adaptact-serve", "/bin/true")
        )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([str(ANALYZE), "verify", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_service_is_confined() -> None:
    command = [str(ANALYZE), "security", "--offline=yes", f"--threshold={EXPOSURE}"]
    done = subprocess.run(
        [*command, str(UNITS / "adaptact.service")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_sockets_have_the_names_that_the_server_knows() -> None:
    assert (
        read("adaptact.socket")["FileDescriptorName"],
        read("adaptact-grpc.socket")["FileDescriptorName"],
    ) == (
        "http",
        "grpc",
    )


def test_only_this_machine_reaches_the_ports_at_first() -> None:
    for name in ("adaptact.socket", "adaptact-grpc.socket"):
        assert read(name)["ListenStream"].startswith("127.0.0.1:")


def test_systemd_waits_longer_for_the_end_than_the_server_does() -> None:
    assert (
        int(read("adaptact.service")["TimeoutStopSec"]) > Settings.model_fields["stop_grace_seconds"].default
    )
