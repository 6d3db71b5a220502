import contextlib
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2, service_pb2

import serve.grpc
from serve.engine.errors import MalformedRequestError
from serve.grpc.messages import POOL, SHORT_BYTES, find_service, message_class, parse_message
from serve.grpc.wire import MAX_FIELDS, split_field

Request = message_class("inference.ModelInferRequest")


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x3a\x00", b"\x32\x00"], ids=["inputs", "raw", "outputs"])
def test_many_empty_parts_are_refused_before_they_take_memory(field: bytes) -> None:
    data = field * (4 * 2**20 // len(field))
    tracemalloc.start()
    with pytest.raises(MalformedRequestError, match=f"more than `{MAX_FIELDS}` fields"):
        parse_message(Request, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_large_tensor_is_one_field() -> None:
    message = Request(model_name="m", raw_input_contents=[bytes(2**20)] * 2)
    message.parameters["timeout"].int64_param = 2**40
    assert parse_message(Request, message.SerializeToString()) == message


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\x0b", b"\x0a", bytes(10)],
    ids=["cut", "length", "not UTF-8", "group", "missing", "field 0"],
)
@pytest.mark.parametrize("padding", [0, SHORT_BYTES])
def test_other_bytes_are_refused(data: bytes, padding: int) -> None:
    raw = Request(raw_input_contents=[bytes(padding)]).SerializeToString() if padding else b""
    with pytest.raises(MalformedRequestError):
        parse_message(Request, raw + data)


def test_a_field_is_split_off() -> None:
    message = Request(model_name="m", id="1", raw_input_contents=[b"ab", b"", b"c" * 300])
    others, values = split_field(message.SerializeToString(), 7)
    assert [bytes(value) for value in values] == list(message.raw_input_contents)
    assert Request.FromString(others) == Request(model_name="m", id="1")


@given(st.binary(max_size=100))
def test_any_bytes_are_split_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedRequestError):
        others, values = split_field(data, 7)
        assert len(others) + sum(map(len, values)) <= len(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    raw = Request(raw_input_contents=[bytes(SHORT_BYTES)]).SerializeToString()
    for given_ in (data, raw + data):
        with contextlib.suppress(MalformedRequestError):
            parse_message(Request, given_)


FOLDER = Path(serve.grpc.__file__).parent
THEIRS = {**model_config_pb2.DESCRIPTOR.message_types_by_name, **service_pb2.DESCRIPTOR.message_types_by_name}
OURS, HEALTH = POOL.FindFileByName("inference.proto"), POOL.FindFileByName("health.proto")
SHARED_MEMORY = {f"CudaSharedMemory{verb}" for verb in ("Status", "Register", "Unregister")}


def test_the_descriptors_are_those_of_the_proto_files(tmp_path: Path) -> None:
    compiled = tmp_path / "protocol.binpb"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        str(FOLDER),
        "--descriptor_set_out",
        str(compiled),
    ]
    files = [str(FOLDER / name) for name in ("inference.proto", "health.proto")]
    subprocess.run([*command, *files], check=True)
    assert (FOLDER / "protocol.binpb").read_bytes() == compiled.read_bytes()


def shape(field: Any) -> tuple[object, ...]:
    group = field.containing_oneof.name if field.containing_oneof else None
    kind = field.message_type.full_name if field.message_type else field.type
    return (field.number, field.type, field.is_repeated, group, kind)


def check_same(ours: Any, theirs: Any) -> None:
    for field in ours.fields:
        assert shape(field) == shape(theirs.fields_by_name[field.name]), f"{ours.full_name}.{field.name}"
    for nested in ours.nested_types:
        check_same(nested, theirs.nested_types_by_name[nested.name])
    for enum in ours.enum_types:
        check_same_values(enum, theirs.enum_types_by_name[enum.name])


def check_same_values(ours: Any, theirs: Any) -> None:
    for value in ours.values:
        assert theirs.values_by_name[value.name].number == value.number


@pytest.mark.parametrize("name", OURS.message_types_by_name)
def test_a_message_has_the_numbers_and_types_that_clients_use(name: str) -> None:
    check_same(OURS.message_types_by_name[name], THEIRS[name])


@pytest.mark.parametrize("name", HEALTH.message_types_by_name)
def test_a_message_of_health_is_grpcs(name: str) -> None:
    check_same(HEALTH.message_types_by_name[name], health_pb2.DESCRIPTOR.message_types_by_name[name])


def test_enums_have_the_numbers_that_clients_use() -> None:
    assert list(OURS.enum_types_by_name) == ["DataType"]
    check_same_values(
        OURS.enum_types_by_name["DataType"], model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    )


def test_all_methods_but_those_of_gpus_memory_exist() -> None:
    ours = find_service("inference.GRPCInferenceService").methods_by_name
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert set(theirs) - set(ours) <= SHARED_MEMORY
    for name, method in ours.items():
        other = theirs[name]
        assert method.input_type.full_name == other.input_type.full_name
        assert method.output_type.full_name == other.output_type.full_name
        assert method.client_streaming == other.client_streaming


def test_a_message_of_ours_is_one_of_theirs() -> None:
    ours = message_class("inference.ModelInferRequest")(model_name="m", raw_input_contents=[b"12"])
    ours.parameters["timeout"].int64_param = 5
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert (theirs.model_name, theirs.raw_input_contents[0]) == ("m", b"12")
    assert theirs.parameters["timeout"].int64_param == 5
