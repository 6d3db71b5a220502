"""What a client may send, and what ends its stream or its connection."""

from time import monotonic

import pytest

from serve.http2.connection import FRAMES_A_TURN
from serve.http2.errors import ErrorCode
from serve.http2.frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    NUMBER,
    PADDED,
    PREFACE,
    PRIORITY,
    SETTING,
    Kind,
    Setting,
    pack_frame,
    pack_settings,
)
from serve.http2.session import MOST_SETTINGS, Http2Limits
from tests.serve.http2.client import BLOCK, HEAD, TRAILERS, Client, on_loop


@on_loop
async def test_a_request_is_answered() -> None:
    client = Client()
    client.begin()
    stream = client.request(1, b"abc")
    assert client.frames() == [
        (Kind.HEADERS, END_HEADERS, 1, HEAD),
        (Kind.DATA, 0, 1, b"abc"),
        (Kind.HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS),
    ]
    assert stream.events == ["begin", "end", "close"]


@on_loop
async def test_the_server_begins_with_its_settings_and_acknowledges_the_clients() -> None:
    client = Client()
    (kind, _, _, payload), widened = client.frames()
    assert (kind, widened[0]) == (Kind.SETTINGS, Kind.WINDOW_UPDATE)
    assert dict(SETTING.iter_unpack(payload))[Setting.MAX_CONCURRENT_STREAMS] == Http2Limits().streams
    client.send(PREFACE + pack_settings({}))
    assert client.frames() == [(Kind.SETTINGS, ACK, 0, b"")]


@on_loop
async def test_bytes_may_come_one_by_one() -> None:
    client = Client()
    data = (
        PREFACE
        + pack_settings({})
        + pack_frame(Kind.HEADERS, END_HEADERS, 1, BLOCK)
        + pack_frame(Kind.DATA, END_STREAM, 1, b"abc")
    )
    for byte in data:
        client.send(bytes((byte,)))
    assert client.answer(1) == (b"abc", True)


@on_loop
async def test_headers_may_be_padded_prioritised_and_continued() -> None:
    client = Client()
    client.begin()
    padded = b"\x03" + bytes(5) + BLOCK[:4] + bytes(3)
    client.frame(Kind.HEADERS, PADDED | PRIORITY, 1, padded)
    client.frame(Kind.CONTINUATION, 0, 1, BLOCK[4:9])
    client.frame(Kind.CONTINUATION, END_HEADERS, 1, BLOCK[9:])
    client.frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x02abc" + bytes(2))
    assert client.answer(1) == (b"abc", True)


@on_loop
async def test_trailers_end_a_request() -> None:
    client = Client()
    client.begin()
    client.request(1, b"abc", end=False)
    client.frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, BLOCK)
    assert client.answer(1) == (b"abc", True)


@on_loop
async def test_an_answer_waits_for_the_clients_windows() -> None:
    client = Client()
    client.begin(window=10)
    data = bytes(range(200)) * 400
    stream = client.request(1, data[:16384], end=False)
    for start in range(16384, len(data), 16384):
        stream.allow(16384)
        client.frame(Kind.DATA, 0, 1, data[start : start + 16384])
    client.frames()
    client.frame(Kind.DATA, END_STREAM, 1, b"")
    got, ended = client.answer(1)
    assert (len(got), ended) == (10, False)
    client.widen(2**20, 1)
    more, ended = client.answer(1)
    got += more
    assert (len(got), ended) == (DEFAULT_WINDOW, False)
    client.widen(2**20)
    more, ended = client.answer(1)
    assert (got + more, ended) == (data, True)
    assert stream.events[-1] == "close"


@on_loop
async def test_streams_share_a_narrow_connection() -> None:
    client = Client()
    client.begin(window=2**20)
    large, small = bytes(60_000), b"x" * 10_000
    for number, data in ((1, large), (3, large), (5, small)):
        client.frame(Kind.HEADERS, END_HEADERS, number, BLOCK)
        for start in range(0, len(data), 15_000):
            client.frame(Kind.DATA, 0, number, data[start : start + 15_000])
    client.frames()
    for number in (1, 3, 5):
        client.frame(Kind.DATA, END_STREAM, number, b"")
    sent = sum(len(frame[3]) for frame in client.frames() if frame[0] is Kind.DATA)
    assert sent == DEFAULT_WINDOW
    client.widen(2**20)
    ended = [frame[2] for frame in client.frames() if frame[1] & END_STREAM]
    assert sorted(ended) == [3, 5]


@on_loop
async def test_settings_change_the_windows_of_open_streams() -> None:
    client = Client()
    client.begin(window=0)
    client.request(1, b"abcdef")
    assert client.answer(1) == (b"", False)
    client.send(pack_settings({Setting.INITIAL_WINDOW_SIZE: 4}))
    assert client.answer(1) == (b"abcd", False)
    client.send(pack_settings({Setting.INITIAL_WINDOW_SIZE: 2}))
    client.widen(3, 1)
    assert client.answer(1) == (b"e", False)
    client.widen(1, 1)
    assert client.answer(1) == (b"f", True)


@on_loop
async def test_a_client_that_gives_up_closes_its_stream() -> None:
    client = Client()
    client.begin(window=0)
    stream = client.request(1, b"abc")
    client.frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(ErrorCode.CANCEL))
    assert stream.events == ["begin", "end", "close"]
    client.frames()
    client.widen(2**20, 1)
    stream.send(b"", b"late", TRAILERS)
    assert client.frames() == []


@on_loop
async def test_an_answer_before_the_requests_end_frees_the_stream() -> None:
    client = Client()
    client.begin()
    stream = client.request(1, b"abc", end=False)
    stream.send(b"", b"", TRAILERS)
    assert [frame[0] for frame in client.frames()] == [Kind.HEADERS, Kind.RST_STREAM]
    client.frame(Kind.DATA, END_STREAM, 1, b"more")
    assert (client.frames(), stream.got) == ([], b"abc")


@on_loop
async def test_frames_of_unknown_kinds_and_settings_are_ignored() -> None:
    client = Client()
    client.begin()
    client.frame(99, 255, 7, b"anything")
    client.frame(Kind.PRIORITY, 0, 1, bytes(5))
    client.frame(Kind.SETTINGS, 0, 0, SETTING.pack(999, 1))
    client.frame(Kind.PING, 0, 0, b"12345678")
    kinds = [frame[:2] for frame in client.frames()]
    assert kinds == [(Kind.SETTINGS, ACK), (Kind.PING, ACK)]
    client.request(1)
    assert client.answer(1) == (b"", True)


WRONG: dict[str, tuple[tuple[Kind, int, int, bytes], ErrorCode]] = {
    "even number": ((Kind.HEADERS, END_HEADERS, 2, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "idle data": ((Kind.DATA, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
    "idle reset": ((Kind.RST_STREAM, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "idle window": ((Kind.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
    "no window": ((Kind.WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "wide window": ((Kind.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
    "wide windows": (
        (Kind.SETTINGS, 0, 0, SETTING.pack(Setting.INITIAL_WINDOW_SIZE, 2**31)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "no frames": (
        (Kind.SETTINGS, 0, 0, SETTING.pack(Setting.MAX_FRAME_SIZE, 0)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "vast frames": (
        (Kind.SETTINGS, 0, 0, SETTING.pack(Setting.MAX_FRAME_SIZE, 2**24)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "bad headers": ((Kind.HEADERS, END_HEADERS, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "padding": ((Kind.HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK), ErrorCode.PROTOCOL_ERROR),
    "no padding": ((Kind.HEADERS, END_HEADERS | PADDED, 1, b""), ErrorCode.PROTOCOL_ERROR),
    "short priority": ((Kind.HEADERS, END_HEADERS | PRIORITY, 1, b"\0"), ErrorCode.FRAME_SIZE_ERROR),
    "long frame": ((Kind.DATA, 0, 1, bytes(2**14 + 1)), ErrorCode.FRAME_SIZE_ERROR),
    "short ping": ((Kind.PING, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
    "short settings": ((Kind.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    "long acknowledgement": ((Kind.SETTINGS, ACK, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
    "lone continuation": ((Kind.CONTINUATION, END_HEADERS, 1, BLOCK), ErrorCode.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_protocol_ends_the_connection(name: str) -> None:
    (kind, flags, number, payload), code = WRONG[name]

    @on_loop
    async def send() -> None:
        client = Client()
        client.begin()
        client.frame(kind, flags, number, payload)
        assert client.error() is code

    send()


@on_loop
async def test_another_protocol_is_cut_off() -> None:
    client = Client()
    client.frames()
    client.send(b"GET / HTTP/1.1\r\n")
    assert client.transport.is_closed
    assert client.frames() == []


@on_loop
async def test_headers_that_are_interrupted_end_the_connection() -> None:
    client = Client()
    client.begin()
    client.frame(Kind.HEADERS, 0, 1, BLOCK)
    client.frame(Kind.PING, 0, 0, bytes(8))
    assert client.error() is ErrorCode.PROTOCOL_ERROR


@on_loop
async def test_headers_without_end_are_bounded() -> None:
    client = Client(Http2Limits(header_bytes=1000))
    client.begin()
    client.frame(Kind.HEADERS, 0, 1, bytes(900))
    client.frame(Kind.CONTINUATION, 0, 1, bytes(100))
    assert not client.transport.is_closed
    client.frame(Kind.CONTINUATION, 0, 1, bytes(1))
    assert client.error() is ErrorCode.ENHANCE_YOUR_CALM


@on_loop
async def test_headers_that_are_continued_by_nothing_take_no_memory_and_time_out() -> None:
    client = Client(Http2Limits(stall_seconds=20))
    client.begin()
    client.frame(Kind.HEADERS, 0, 1, b"")
    client.send(pack_frame(Kind.CONTINUATION, 0, 1, b"") * FRAMES_A_TURN)
    assert client.connection._session._block == (1, 0, bytearray())
    client.connection.check(monotonic() + 21)
    assert client.transport.is_closed


@on_loop
async def test_more_data_than_the_window_ends_the_connection() -> None:
    client = Client()
    client.begin()
    client.request(1, bytes(2**14), end=False)
    for _ in range(3):
        client.frame(Kind.DATA, 0, 1, bytes(2**14))
    assert client.error() is ErrorCode.FLOW_CONTROL_ERROR


@on_loop
async def test_data_behind_the_end_ends_the_connection() -> None:
    client = Client()
    client.begin(window=0)
    client.request(1, b"abc")
    client.frame(Kind.DATA, 0, 1, b"more")
    assert client.error() is ErrorCode.PROTOCOL_ERROR


@on_loop
async def test_streams_beyond_the_limit_are_refused() -> None:
    client = Client(Http2Limits(streams=2))
    client.begin()
    for number in (1, 3):
        client.request(number, b"", end=False)
    client.frame(Kind.HEADERS, END_HEADERS, 5, BLOCK)
    assert client.frames() == [(Kind.RST_STREAM, 0, 5, NUMBER.pack(ErrorCode.REFUSED_STREAM))]
    client.frame(Kind.DATA, END_STREAM, 1, b"abc")
    assert client.answer(1) == (b"abc", True)
    assert client.request(7, b"x").got == b"x"


@on_loop
async def test_settings_without_end_are_a_flood() -> None:
    client = Client()
    client.begin()
    for _ in range(MOST_SETTINGS):
        client.frame(Kind.SETTINGS)
    assert client.error() is ErrorCode.ENHANCE_YOUR_CALM


@on_loop
async def test_many_settings_in_one_frame_are_a_flood() -> None:
    client = Client()
    client.begin()
    client.frame(Kind.SETTINGS, 0, 0, SETTING.pack(Setting.INITIAL_WINDOW_SIZE, 1) * MOST_SETTINGS)
    assert client.error() is ErrorCode.ENHANCE_YOUR_CALM


@on_loop
async def test_a_client_may_change_its_settings_for_as_long_as_it_is_answered() -> None:
    client = Client()
    client.begin()
    for number in range(1, 4 * MOST_SETTINGS, 2):
        client.frame(Kind.SETTINGS, 0, 0, SETTING.pack(Setting.INITIAL_WINDOW_SIZE, 2**16 + number))
        client.request(number, b"a")
    assert not client.transport.is_closed
