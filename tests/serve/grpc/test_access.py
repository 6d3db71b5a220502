import pytest

from serve.grpc.access import right_for
from serve.grpc.wire import message_class, service


@pytest.mark.parametrize("verb", service("inference.GRPCInferenceService").methods_by_name)
def test_what_changes_something_is_for_administrators(verb: str) -> None:
    asked_type = service("inference.GRPCInferenceService").methods_by_name[verb].input_type
    asked = message_class(asked_type.full_name)()
    administers = verb in ("RepositoryModelLoad", "RepositoryModelUnload")
    free = verb in ("ServerLive", "ServerReady", "ModelReady")
    assert right_for(verb, asked) == ("admin" if administers else "free" if free else "infer")
    if verb in ("LogSettings", "TraceSetting"):
        asked.settings["a"].SetInParent()
        assert right_for(verb, asked) == "admin"
