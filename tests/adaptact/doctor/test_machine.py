from pathlib import Path

import pytest

from adaptact.doctor import machine
from adaptact.doctor.machine import describe_machine


def test_the_machine_is_described() -> None:
    found = describe_machine()
    assert {"processor", "cores", "disk, here"} <= set(found)
    assert all(found.values())


def test_a_containers_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("2147483648\n")
    found = describe_machine()
    assert found["cores"].endswith("for 1.5 of their time (the container's limit)")
    assert found["memory"].endswith("at most 2.0 GiB for this container")


@pytest.mark.parametrize("text", ["max 100000", "", "x", "\udcff"])
def test_limits_that_are_none_are_left_out(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "memory.max").write_text("max\n")
    assert "limit" not in describe_machine()["cores"]
