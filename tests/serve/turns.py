"""A model that runs as long as its input says, so that no test depends on the machine's speed."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage

import orjson

from tests.serve.process import ServerProcess
from tests.waiting import until

# It always takes so many turns that it is measured to be too slow for the event loop.
TURNS = """turns (int64[N] x) => (float[1] y) {
    first = Constant<value = int64[1] {0}>()
    asked = Gather(x, first)
    least = Constant<value = int64[1] {5000}>()
    turns = Add(asked, least)
    shape = Constant<value = int64[0] {}>()
    scalar = Reshape(turns, shape)
    go_on = Constant<value = bool {1}>()
    start = Constant<value = float[1] {0.5}>()
    y = Loop(scalar, go_on, start) <body = turn (int64 i, bool go, float[1] v) => (bool going, float[1] w) {
        going = Identity(go)
        w = Sin(v)
    }>
}"""
INFER = "/v2/models/turns/infer"
ENDLESS = 10**12  # days
Reply = tuple[int, HTTPMessage, bytes]


def make_body(turns: int, timeout: int = 0) -> bytes:
    entry = {"name": "x", "shape": [1], "datatype": "INT64", "data": [turns]}
    return orjson.dumps({"inputs": [entry], "parameters": {"timeout": timeout}})


def send_turns(server: ServerProcess, turns: int, timeout: int = 0) -> Reply:
    """The answer to a request for so many turns, with a timeout in microseconds."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
    try:
        connection.request("POST", INFER, make_body(turns, timeout))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def wait_until_running(server: ServerProcess, used: float) -> None:
    """Wait until the server, whose processor time was `used` before, runs the request."""
    until(lambda: server.processor_seconds() > used + 0.1)


@contextmanager
def endless_request(server: ServerProcess) -> Iterator[socket.socket]:
    """The connection of a request that runs until its client disconnects, at the end of the block."""
    used, sent = server.processor_seconds(), make_body(ENDLESS)
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sent)}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        wait_until_running(server, used)
        yield connection
