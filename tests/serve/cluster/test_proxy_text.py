import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from serve.cluster.proxy_text import (
    Address,
    Place,
    ProxyOptions,
    SlotState,
    find_slots,
    list_certificates,
    list_free,
    read_statistics,
    write_commands,
    write_configuration,
)
from tests.serve.certificates import write_certificates

OPTIONS = ProxyOptions("127.0.0.1", 8000, 8001, slots=2)
ONE = Address("10.0.0.5", 31000, 31001)
TWO = Address("fd00::7", 31000, 31001)


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("grpc_port", [0, 8001])
def test_haproxy_takes_the_configuration(tmp_path: Path, grpc_port: int) -> None:
    options = ProxyOptions("::1", 8000, grpc_port, slots=2)
    file = tmp_path / "haproxy.cfg"
    slots = {"replica-1": ONE, "replica-2": TWO}
    file.write_text(write_configuration(options, tmp_path / "socket", slots), encoding="utf-8")
    done = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
def test_a_folder_may_have_any_name(short_path: Path) -> None:
    folder = short_path / 'it\'s my "state" #1 \\ $x'
    folder.mkdir()
    pair = write_certificates(folder).pair("server")
    certificate, key = (path.read_bytes() for path in pair)
    options = replace(OPTIONS, certificate=certificate + key, trusted=certificate)
    for path, content in list_certificates(options, folder).items():
        path.write_bytes(content)
    file = short_path / "haproxy.cfg"
    file.write_text(write_configuration(options, folder / "socket", {"replica-1": ONE}), encoding="utf-8")
    done = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_may_take_as_long_as_a_replica_lets_it() -> None:
    text = write_configuration(replace(OPTIONS, answer_seconds=400), Path("socket"), {})
    assert text.count("400s") == 3
    assert "timeout server 400s" in text


def test_a_slot_without_a_replica_is_in_maintenance() -> None:
    text = write_configuration(OPTIONS, Path("socket"), {"replica-1": ONE})
    assert "server replica-1 10.0.0.5:31000 check inter 500ms" in text
    assert "server replica-1 10.0.0.5:31001 track http/replica-1 proto h2" in text
    (empty,) = [line for line in text.splitlines() if "replica-2" in line and "check" in line]
    assert empty.endswith("disabled")


def test_without_a_database_aliases_and_experiments_are_not_changed_through_the_proxy() -> None:
    refusal = "if of_the_state is_change"
    assert refusal in write_configuration(OPTIONS, Path("socket"), {})
    assert refusal not in write_configuration(replace(OPTIONS, shares_state=True), Path("socket"), {})


def state(status: str, address: Address = ONE) -> SlotState:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return SlotState(status, 0, f"{host}:{address.port}")


def test_a_slot_that_was_not_asked_yet_is_not_up() -> None:
    assert state("UP").is_up
    assert not state("UP 1/2").is_up  # HAProxy sends it requests from the start
    assert state("UP 1/2").is_open


EMPTY = SlotState("MAINT", 0, "127.0.0.1:1")
ASSIGNED = [
    "set server http/replica-1 addr 10.0.0.5 port 31000",
    "set server grpc/replica-1 addr 10.0.0.5 port 31001",
    "set server http/replica-1 state ready",
]
RELEASED = [
    "set server http/replica-1 state maint",
    "shutdown sessions server http/replica-1",
    "shutdown sessions server grpc/replica-1",
]


@pytest.mark.parametrize(
    ("now", "place", "commands"),
    [
        (EMPTY, None, []),
        (EMPTY, Place(ONE), ASSIGNED),
        (state("UP"), Place(ONE), []),
        (state("DOWN 1/2"), Place(ONE), []),  # it is what HAProxy finds, and not what it was told
        (state("MAINT"), Place(ONE), ASSIGNED),  # somebody, or a restart, has done this
        (state("DRAIN"), Place(ONE), ASSIGNED),
        (state("UP", Address("10.0.0.6", 31000)), Place(ONE), ASSIGNED),
        (state("UP"), Place(ONE, is_leaving=True), ["set server http/replica-1 state drain"]),
        (state("DRAIN"), Place(ONE, is_leaving=True), []),
        (state("DOWN"), None, RELEASED),
        (state("DRAIN"), None, RELEASED),
    ],
)
def test_commands_bring_a_slot_to_what_it_should_be(
    now: SlotState, place: Place | None, commands: list[str]
) -> None:
    places = {} if place is None else {"replica-1": place}
    assert write_commands(OPTIONS, {"replica-1": now, "replica-2": EMPTY}, places) == commands


def test_statistics_count_what_is_in_flight_over_http_and_grpc() -> None:
    text = (
        "# pxname,svname,scur,status,last_chk,addr,\n"
        "http-in,FRONTEND,9,OPEN,,,\n"
        'http,replica-1,3,UP,"200, OK",10.0.0.5:31000,\n'
        "http,replica-2,0,MAINT,,[fd00::7]:31000,\n"
        "http,BACKEND,3,UP,,,\n"
        "grpc,replica-1,2,UP,,10.0.0.5:31001,\n"
    )
    assert read_statistics(text) == {
        "replica-1": SlotState("UP", 5, "10.0.0.5:31000", "200, OK"),
        "replica-2": SlotState("MAINT", 0, "[fd00::7]:31000"),
    }


def test_a_controller_that_takes_over_finds_the_slots_of_replicas() -> None:
    states = {"replica-1": state("UP", TWO), "replica-2": state("MAINT", ONE)}
    assert find_slots(states, {"r1": ONE, "r2": TWO}) == {"r2": "replica-1"}
    assert list_free(OPTIONS, ["replica-1"]) == ["replica-2"]
