"""Calls as streams of a connection: their messages are joined, bounded, answered and framed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

from serve.engine.errors import DeadlineExceededError, EngineError, MalformedRequestError
from serve.grpc.calls import METADATA_BYTES, BytesMethod, CallHead, IncomingCall
from serve.grpc.errors import CallRefusedError, write_refusal
from serve.grpc.framing import PREFIX, Buffer, MessageReader, ReceivedMessage, pack_prefix
from serve.grpc.status import HEAD, NOT_GRPC, OK_TRAILERS, StatusCode
from serve.http2.errors import ErrorCode
from serve.http2.frames import DEFAULT_WINDOW
from serve.http2.hpack import encode_headers
from serve.http2.outbox import TURN_BYTES
from serve.http2.session import Http2Session
from serve.http2.stream import Stream
from serve.protocol.compression import decompress

MESSAGE_BYTES = 256
"""What a message that waits to be read holds beside its data, which may be empty."""
Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Sends an answer, as soon as the client takes it."""
StreamMethod: TypeAlias = Callable[[AsyncIterator[Buffer], IncomingCall, Write], Awaitable[None]]
"""Answers a call's messages with any number of others."""


@dataclass(slots=True)
class CallBudget:
    """How many calls there are at once, and how many bytes of large messages they hold."""

    most_calls: int
    most_bytes: int
    message_bytes: int
    """Of one message."""
    calls: int = 0
    held_bytes: int = 0

    def take_bytes(self, count: int) -> None:
        """Count them as held; raises `CallRefusedError` where they would be too many."""
        if self.held_bytes + count > self.most_bytes:
            raise CallRefusedError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"all messages together are more than `{self.most_bytes}` bytes; come again",
            )
        self.held_bytes += count


class CallStream(Stream):
    """What calls have in common, be their messages one or many."""

    def __init__(self, session: Http2Session, number: int, head: CallHead, budget: CallBudget) -> None:
        """The call counts from `begin` on."""
        super().__init__(session, number)
        self.call = IncomingCall(head, session.peer)
        self._head = head
        self._budget = budget
        self._reader = MessageReader(budget.message_bytes)
        self._task: asyncio.Task[None] | None = None
        self._is_counted = self._is_in_message = self._has_sent_head = False
        self._held_bytes = 0
        self._arriving_bytes = 0  # of those, the bytes of the message in progress

    def begin(self) -> None:
        """Refuse the call by its headers, or wait for its messages."""
        head, budget = self._head, self._budget
        if not head.is_call:
            return self.send(b"", b"", NOT_GRPC)
        if head.is_too_large:
            return self._refuse(f"the metadata has more than `{METADATA_BYTES}` bytes")
        if not head.has_known_coding:
            return self.refuse(
                CallRefusedError(StatusCode.UNIMPLEMENTED, "`grpc-encoding` is none of this server's")
            )
        if budget.calls >= budget.most_calls:
            return self._refuse(f"there are `{budget.most_calls}` calls, which is the limit; come again")
        budget.calls += 1
        self._is_counted = True
        self.expect(0)
        return self.start()

    def start(self) -> None:
        """The call may be answered."""

    def take(self, message: ReceivedMessage) -> None:
        """A message has come, of the held bytes `arriving`; may raise `EngineError`."""
        raise NotImplementedError

    def receive(self, data: bytes) -> None:
        """Take the messages that this completes, and let the client send what the next one lacks."""
        try:
            messages = self._reader.feed(data)
            for message in messages:
                self.take(message)
            if self._reader.missing and (messages or not self._is_in_message):
                self._begin_message(self._reader.missing)
            self._is_in_message = self._reader.missing > 0
        except EngineError as error:
            self.refuse(error)
            self.stop()

    def close(self) -> None:
        """The call counts no more, once its method has ended too, which ends now if it has not."""
        if self._task is None or self._task.done():
            self._uncount()
        else:
            self.stop()

    def stop(self) -> None:
        """End the method, unless that is what calls this."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def time_out(self, now: float) -> None:
        """The client is too slow, or the call's deadline is over."""
        if now > self.send_due:
            self.reset(ErrorCode.CANCEL)
        elif self.call.deadline is not None and now > self.call.deadline:
            self.refuse(DeadlineExceededError("the call's deadline is over"))
        else:
            stalled = f"the call's message stalled for `{self.session.limits.stall_seconds:g}` seconds"
            self.refuse(CallRefusedError(StatusCode.DEADLINE_EXCEEDED, stalled))
        self.stop()

    def wait_for_deadline(self) -> None:
        """The client need do nothing more for now."""
        self.due = inf if self.call.deadline is None else self.call.deadline

    def refuse(self, error: Exception) -> None:
        """End the call with the error's status."""
        trailers = write_refusal(error)
        self.send(b"", b"", trailers if self._has_sent_head else HEAD + trailers)

    def send_message(self, data: bytes, trailers: bytes = b"") -> None:
        """Send an answer, and the call's end where that follows."""
        head = b"" if self._has_sent_head else HEAD
        self._has_sent_head = True
        if len(data) > TURN_BYTES:
            self.send(head, pack_prefix(data), b"")
            self.send(b"", data, trailers)
        else:
            self.send(head, pack_prefix(data) + data, trailers)

    def run(self, answering: Coroutine[Any, Any, None]) -> None:
        """Answer the call in a task."""
        self._task = asyncio.get_running_loop().create_task(answering)
        self._task.add_done_callback(self._on_done)

    async def read(self, message: ReceivedMessage) -> Buffer:
        """The message's bytes; raises `MalformedRequestError` where they cannot be decompressed."""
        if not message.is_compressed:
            return message.data
        if self._head.coding is None:
            raise MalformedRequestError("a message is compressed, and `grpc-encoding` does not say how")
        limit = self._budget.message_bytes
        data = await asyncio.to_thread(decompress, bytes(message.data), self._head.coding, limit)
        self.hold(len(data))
        return data

    def hold(self, count: int) -> None:
        """Count bytes of a message until they are released, or the call ends."""
        self._budget.take_bytes(count)
        self._held_bytes += count

    def release(self, count: int) -> None:
        """Count them no more."""
        self._budget.held_bytes -= count
        self._held_bytes -= count

    def _begin_message(self, missing: int) -> None:
        """Give the client time and room to send what is missing."""
        self.expect(missing)
        if missing > self.window:
            self.hold(missing)
            self._arriving_bytes = missing
            self.allow(missing - self.window)

    def _refuse(self, message: str) -> None:
        self.refuse(CallRefusedError(StatusCode.RESOURCE_EXHAUSTED, message))

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not self.is_open:
            self._uncount()

    def _uncount(self) -> None:
        self._budget.calls -= self._is_counted
        self._is_counted = False
        self.release(self._held_bytes)


class UnaryCall(CallStream):
    """One message, and one answer."""

    def __init__(
        self, session: Http2Session, number: int, head: CallHead, budget: CallBudget, method: BytesMethod
    ) -> None:
        """The method answers the message."""
        super().__init__(session, number, head, budget)
        self._method = method
        self._message: ReceivedMessage | None = None

    def take(self, message: ReceivedMessage) -> None:
        """Keep the message; raises `CallRefusedError` for a second one."""
        if self._message is not None:
            raise CallRefusedError(StatusCode.INVALID_ARGUMENT, "the call has more than one message")
        self._message = message

    def end_request(self) -> None:
        """Answer the message."""
        if self._message is None or not self._reader.is_between_messages:
            return self.refuse(CallRefusedError(StatusCode.INVALID_ARGUMENT, "the call's message breaks off"))
        self.wait_for_deadline()
        return self.run(self._answer(self._message))

    async def _answer(self, message: ReceivedMessage) -> None:
        try:
            reply = await self._method(await self.read(message), self.call)
        except Exception as error:  # noqa: BLE001  the outermost handler: any error is answered
            self.refuse(error)
        else:
            self.send_message(reply, OK_TRAILERS + encode_headers(*self.call.trailers))


class StreamingCall(CallStream):
    """Any number of messages, and any number of answers."""

    def __init__(
        self, session: Http2Session, number: int, head: CallHead, budget: CallBudget, method: StreamMethod
    ) -> None:
        """The method answers the messages, each with one, or a single message with many."""
        super().__init__(session, number, head, budget)
        self._method = method
        # The messages that are not read yet, each with the bytes that it holds.
        self._waiting: deque[tuple[ReceivedMessage, int]] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._unanswered: deque[int] = deque()  # the bytes that each message holds until its answer is sent

    def start(self) -> None:
        """Answer the messages as they come; there may be none for any time."""
        self.wait_for_deadline()
        self.run(self._answer())

    def take(self, message: ReceivedMessage) -> None:
        """Keep the message until it is read."""
        self.hold(MESSAGE_BYTES)
        self._waiting.append((message, self._arriving_bytes + MESSAGE_BYTES))
        self._waiting_bytes += PREFIX.size + len(message.data)
        self._arriving_bytes = 0
        self.wait_for_deadline()
        self._news.set()

    def end_request(self) -> None:
        """No more messages come."""
        self.wait_for_deadline()
        self._news.set()

    async def _answer(self) -> None:
        try:
            await self._method(self._read_messages(), self.call, self._write)
        except Exception as error:  # noqa: BLE001  the outermost handler: any error is answered
            self.refuse(error)
        else:
            self.send(b"" if self._has_sent_head else HEAD, b"", OK_TRAILERS)

    async def _read_messages(self) -> AsyncIterator[Buffer]:
        while True:
            while not self._waiting:
                if self.has_ended:
                    return
                self._news.clear()
                await self._news.wait()
            message, held = self._waiting.popleft()
            self._waiting_bytes -= PREFIX.size + len(message.data)
            self._widen()
            try:
                data = await self.read(message)
            except EngineError as error:
                self.refuse(error)
                self.stop()
                return
            self._unanswered.append(held + len(data) * message.is_compressed)
            yield data

    async def _write(self, data: bytes) -> None:
        self.send_message(data)
        await self.wait_until_sent()
        if self._unanswered:
            self.release(self._unanswered.popleft())

    def _widen(self) -> None:
        """Let the client send as much more as has been read."""
        count = DEFAULT_WINDOW - self._waiting_bytes - self.window
        if count > DEFAULT_WINDOW // 2 and not self.has_ended:
            self.allow(count)
