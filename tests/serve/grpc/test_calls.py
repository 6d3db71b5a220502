import asyncio
from pathlib import Path

import pytest

from serve.access import reloaded_file
from serve.access.control import is_this_machine, open_access_control
from serve.access.keys import format_key
from serve.grpc.calls import (
    HEADER_BYTES,
    METADATA_BYTES,
    CallHead,
    IncomingCall,
    administer,
    read_address,
    read_head,
    right_for,
)
from serve.grpc.messages import Message, find_service, message_class


@pytest.mark.parametrize("verb", find_service("inference.GRPCInferenceService").methods_by_name)
def test_what_changes_something_is_for_administrators(verb: str) -> None:
    asked_type = find_service("inference.GRPCInferenceService").methods_by_name[verb].input_type
    request = message_class(asked_type.full_name)()
    administers = verb.endswith(("Load", "Unload", "Register", "Unregister"))
    free = verb in ("ServerLive", "ServerReady", "ModelReady")
    assert right_for(verb, request) == ("admin" if administers else "free" if free else "infer")
    if verb in ("LogSettings", "TraceSetting"):
        request.settings["a"].SetInParent()
        assert right_for(verb, request) == "admin"


@pytest.mark.parametrize(
    ("peer", "address", "here"),
    [
        (("127.0.0.1", 50000), "127.0.0.1", True),
        (("10.1.2.3", 50000), "10.1.2.3", False),
        (("::1", 50000, 0, 0), "::1", True),
        (("::ffff:127.0.0.1", 50000, 0, 0), "127.0.0.1", True),
        (("::ffff:10.0.0.1", 50000, 0, 0), "10.0.0.1", False),
        (("fe80::1%eth0", 50000, 0, 2), "fe80::1", False),
        ("", None, True),
        (("127.0.0.1.evil", 1), "127.0.0.1.evil", False),
    ],
)
def test_where_a_call_comes_from(peer: object, address: str | None, here: bool) -> None:
    assert read_address(peer) == address
    assert is_this_machine(read_address(peer)) is here


def head(*headers: tuple[bytes, bytes]) -> CallHead:
    return read_head((*CALL, *headers))


CALL = ((b":method", b"POST"), (b":path", b"/a.B/C"), (b"content-type", b"application/grpc+proto"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"2H", 7200.0),
        (b"3M", 180.0),
        (b"7S", 7.0),
        (b"250m", 0.25),
        (b"99999999u", 99.999999),
        (b"1n", 1e-9),
        (b"0m", 0.0),
        *((wrong, None) for wrong in (b"", b"5", b"m", b"-1S", b"1.5S", b"123456789S", b"5x", b"\xb2S")),
    ],
)
def test_a_calls_time_limit_is_read(text: bytes, seconds: float | None) -> None:
    read = head((b"grpc-timeout", text)).timeout_seconds
    assert read == (None if seconds is None else pytest.approx(seconds))


def test_a_call_has_its_path_and_its_metadata_of_text() -> None:
    read = head((b"x-request-id", b"job-1"), (b"key-bin", b"AA=="), (b"grpc-encoding", b"gzip"))
    assert (read.path, read.coding, read.is_call, read.has_known_coding) == ("/a.B/C", "gzip", True, True)
    assert read.headers["x-request-id"] == "job-1"
    assert not {"key-bin", ":path"} & read.headers.keys()


def test_other_requests_are_no_calls() -> None:
    assert not read_head((*CALL[:2], (b"content-type", b"application/json"))).is_call
    assert not read_head(((b":method", b"GET"), *CALL[1:])).is_call
    assert not read_head(()).is_call
    assert not head((b"grpc-encoding", b"br")).has_known_coding


def test_metadata_is_bounded() -> None:
    size = METADATA_BYTES - sum(len(name) + len(value) + HEADER_BYTES for name, value in CALL) - HEADER_BYTES
    assert not head((b"k", bytes(size - 1))).is_too_large
    assert head((b"k", bytes(size))).is_too_large
    assert head(*[(b"", b"")] * (METADATA_BYTES // HEADER_BYTES)).is_too_large


def test_an_answer_is_recorded_of_who_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("ops", "secret", frozenset({"admin"})))
    access = open_access_control(keys, 0.0, tmp_path / "audit.jsonl")
    call = IncomingCall(read_head(((b"authorization", b"Bearer secret"),)), ("10.0.0.1", 50000))
    request = message_class("inference.RepositoryModelLoadRequest")(model_name="net")

    async def load(asked: Message, call: IncomingCall) -> Message:
        keys.write_text("")  # the key is removed meanwhile
        return asked

    asyncio.run(administer(load, "RepositoryModelLoad", request, call, access))
    [entry] = access.audit_log.read(9).entries
    access.audit_log.close()
    assert (entry.caller, entry.outcome) == ("ops", "done")
