"""Requests and answers between two processes, both of which may ask."""

import asyncio
import itertools
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import orjson

from serve.engine import errors
from serve.engine.errors import EngineError

log = logging.getLogger("adaptact")
Json: TypeAlias = Any
Responder: TypeAlias = Callable[[str, list[Json]], Awaitable[Json]]
LENGTH = struct.Struct("<I")
LARGEST_MESSAGE = 64 * 2**20


class ChannelClosedError(EngineError):
    """The process at the other end has ended, or was given up, before it answered."""


class Channel:
    """One end of a connection; while `listen` runs, both ends are answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Responder) -> None:
        """`answer` is called with the verb and arguments of the other end, which gets its errors too."""
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False
        self._given_up: str | None = None

    async def ask(self, verb: str, *arguments: Json) -> Json:
        """The other end's answer; raises the error that it raised, or `ChannelClosedError`."""
        if self._closed or self._given_up is not None:
            raise ChannelClosedError(f"`{verb}` was not answered: {self._given_up or 'the process is gone'}")
        number = next(self._numbers)
        question = _write_message([number, "ask", verb, arguments])
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(question)
            return await self._waiting[number]
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        """Read requests and answers until the other end closes."""
        try:
            while True:
                (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                if length > LARGEST_MESSAGE:
                    break
                self._receive(_read_json(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._closed = True
            self._writer.close()
            self.give_up("the process ended before it answered")

    def give_up(self, reason: str) -> None:
        """No answer is waited for any longer; what the other end asks is still answered."""
        if self._given_up is not None:
            return
        self._given_up = reason
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChannelClosedError(reason))

    def _receive(self, message: list[Json]) -> None:
        number, kind, *rest = message
        if kind == "ask":
            task = asyncio.create_task(self._reply(number, *rest))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        future = self._waiting.get(number)
        if future is None or future.done():
            return  # the caller was cancelled
        if kind == "failed":
            future.set_exception(_restore_error(*rest))
        else:
            future.set_result(rest[0])

    async def _reply(self, number: int, verb: str, arguments: list[Json]) -> None:
        try:
            content = _write_message([number, "done", await self._answer(verb, arguments)])
        except EngineError as error:
            content = _write_json([number, "failed", type(error).__name__, str(error)])
        except Exception as error:  # the outermost handler: every request is answered
            log.exception("`%s` failed", verb)
            message = f"`{verb}` failed: {type(error).__name__}"
            content = _write_json([number, "failed", "EngineError", message])
        self._send(content)

    def _send(self, content: bytes) -> None:
        if not self._closed:
            self._writer.write(LENGTH.pack(len(content)) + content)


def send_last(connection: socket.socket, verb: str, *arguments: Json) -> None:
    """Tell the other end before this process ends, without an event loop; its answer is not read."""
    content = _write_json([0, "ask", verb, arguments])
    with suppress(OSError):  # it has ended
        connection.setblocking(True)
        connection.sendall(LENGTH.pack(len(content)) + content)


def _write_message(content: Json) -> bytes:
    """The message; raises `EngineError` for one at which the other end would end the channel."""
    message = _write_json(content)
    if len(message) > LARGEST_MESSAGE:
        raise EngineError(
            f"a message between processes of the server has `{len(message)}` bytes, at most "
            f"`{LARGEST_MESSAGE}`"
        )
    return message


# orjson refuses texts that are not UTF-8, as the names of files may be.


def _write_json(content: Json) -> bytes:
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        return json.dumps(content).encode()


def _read_json(text: bytes) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _restore_error(name: str, message: str) -> EngineError:
    """The engine's error of this name, else its root."""
    kind = getattr(errors, name, EngineError)
    return kind(message) if isinstance(kind, type) and issubclass(kind, EngineError) else EngineError(message)
