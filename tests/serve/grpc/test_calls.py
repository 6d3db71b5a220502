import pytest

from serve.access.control import is_this_machine
from serve.grpc.calls import read_address, right_for
from serve.grpc.messages import find_service, message_class


@pytest.mark.parametrize("verb", find_service("inference.GRPCInferenceService").methods_by_name)
def test_what_changes_something_is_for_administrators(verb: str) -> None:
    asked_type = find_service("inference.GRPCInferenceService").methods_by_name[verb].input_type
    request = message_class(asked_type.full_name)()
    administers = verb in ("RepositoryModelLoad", "RepositoryModelUnload")
    free = verb in ("ServerLive", "ServerReady", "ModelReady")
    assert right_for(verb, request) == ("admin" if administers else "free" if free else "infer")
    if verb in ("LogSettings", "TraceSetting"):
        request.settings["a"].SetInParent()
        assert right_for(verb, request) == "admin"


@pytest.mark.parametrize(
    ("peer", "address", "here"),
    [
        ("ipv4:127.0.0.1:50000", "127.0.0.1", True),
        ("ipv4:10.1.2.3:50000", "10.1.2.3", False),
        ("ipv6:%5B::1%5D:50000", "::1", True),
        ("ipv6:[::1]:50000", "::1", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50000", "127.0.0.1", True),
        ("ipv6:%5B::ffff:10.0.0.1%5D:50000", "10.0.0.1", False),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", "fe80::1", False),
        ("unix:/tmp/socket", None, True),
        ("", "", False),
        ("unknown", "unknown", False),
        ("ipv4:127.0.0.1.evil:1", "ipv4:127.0.0.1.evil:1", False),
    ],
)
def test_where_a_call_comes_from(peer: str, address: str | None, here: bool) -> None:
    assert read_address(peer) == address
    assert is_this_machine(read_address(peer)) is here
