"""The process that turns texts into tokens. It is run by its path, and imports nothing of this package.

Reading a large tokenizer's file holds Python's lock for seconds, and a faulty one may panic, never end, or
take all memory. None of that may reach the server.

Standard input is a socket. Each message is its length, eight bytes, and as many bytes: first the tokenizer's
file, which is answered with its settings; then requests, a JSON list of texts or of pairs of texts. The
answer is JSON, `lengths` and `truncated`, or `error`; and where there is no error, a second message: the
tokens' numbers, of all texts in order, and then their types, four bytes each.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from array import array
from queue import SimpleQueue
from typing import Any

LENGTH = struct.Struct("<Q")
TRIAL_SECONDS = 10
MAX_TOKENS = 2**22
MAX_SPECIAL_TOKENS = 1024
PAD_TOKENS = ("[PAD]", "<pad>")


def main() -> None:
    """Read the tokenizer, answer that, and then every request, until the server is gone."""
    # The server ends this process by closing the socket, once its last request is answered.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the server's cores are for its models
    link = socket.socket(fileno=0)
    messages: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(link, messages), daemon=True).start()
    try:
        tokenizer, settings = _read_tokenizer(messages.get().decode())
    except BaseException as error:  # noqa: BLE001  a panic of the library is no Exception
        _send(link, json.dumps({"error": _describe(error)}).encode())
        return
    _send(link, json.dumps(settings).encode())
    while True:
        for answer in _answer(tokenizer, json.loads(messages.get())):
            _send(link, answer)


def _read_tokenizer(text: str) -> tuple[Any, dict[str, Any]]:
    """The tokenizer and its settings; it is tried on texts, and only cuts them where its file says so."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_str(text)
    # All texts of a request are padded at once, by the server, which knows what the model takes.
    padding, truncation = tokenizer.padding, tokenizer.truncation
    tokenizer.no_padding()
    tokenizer.no_truncation()
    special = max(tokenizer.num_special_tokens_to_add(pair) for pair in (False, True))
    if special > MAX_SPECIAL_TOKENS:
        raise ValueError(f"it adds {special} special tokens to a text, expected at most {MAX_SPECIAL_TOKENS}")
    if truncation is not None:
        if truncation["max_length"] <= special:
            raise ValueError(
                f"`truncation` cuts texts to {truncation['max_length']} tokens, expected more than the "
                f"{special} special ones"
            )
        kept = {key: truncation[key] for key in ("max_length", "strategy", "direction")}
        tokenizer.enable_truncation(**kept, stride=0)
    signal.alarm(TRIAL_SECONDS)  # ends the process
    for sample in ("", "a", "A text, of some words.", ("a", "b")):
        tokenizer.encode_batch_fast([sample])
    signal.alarm(0)
    if padding is None:
        found = [tokenizer.token_to_id(token) for token in PAD_TOKENS]
        number = next((number for number in found if number is not None), None)
        padding = None if number is None else {"pad_id": number}
    return tokenizer, {
        "padding": padding,
        "truncation": truncation,
        "tokens": 1 + max(tokenizer.get_vocab().values()),
    }


def _answer(tokenizer: Any, texts: list[Any]) -> list[bytes]:
    try:
        encodings = tokenizer.encode_batch_fast(
            [text if isinstance(text, str) else tuple(text) for text in texts]
        )
        lengths = [len(encoding) for encoding in encodings]
        if sum(lengths) > MAX_TOKENS:
            raise ValueError(
                f"they have {sum(lengths)} tokens together, expected at most {MAX_TOKENS}; send fewer texts"
            )
        numbers, types = array("I"), array("I")
        for encoding in encodings:
            numbers.extend(encoding.ids)
            types.extend(encoding.type_ids)
    except BaseException as error:  # noqa: BLE001  a panic of the library is no Exception
        return [json.dumps({"error": _describe(error)}).encode()]
    truncated = [place for place, encoding in enumerate(encodings) if encoding.overflowing]
    head = json.dumps({"lengths": lengths, "truncated": truncated})
    return [head.encode(), numbers.tobytes() + types.tobytes()]


def _describe(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _receive(link: socket.socket, messages: "SimpleQueue[bytes]") -> None:
    """Put every message into the queue; when the server is gone, so is this process, whatever it does."""
    try:
        while True:
            (size,) = LENGTH.unpack(_read(link, LENGTH.size))
            messages.put(_read(link, size))
    except (OSError, EOFError):
        os._exit(0)


def _read(link: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = link.recv(min(size - len(pieces), 2**20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def _send(link: socket.socket, message: bytes) -> None:
    link.sendall(LENGTH.pack(len(message)) + message)


if __name__ == "__main__":
    main()
