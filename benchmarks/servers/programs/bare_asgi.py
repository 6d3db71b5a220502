"""The least that a server in Python can do: parse, run the session, answer; it checks nothing."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import simdjson
import uvicorn

from benchmarks.servers.programs.session import open_session

SESSIONS = {
    f"/v2/models/{path.parents[1].name}/infer": open_session(path)
    for path in Path(os.environ["MODELS"]).glob("*/1/model.onnx")
}
LENGTH = b"inference-header-content-length"


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """Answer a request, believing whatever it says."""
    if scope["type"] != "http":
        return
    body = b""
    while scope["method"] == "POST":
        message = await receive()
        body += message["body"]
        if not message.get("more_body"):
            break
    answer, headers = reply(scope, body) if body else (b"{}", [])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def reply(scope: dict[str, Any], body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The body and the headers of the answer."""
    binary = next((int(value) for name, value in scope["headers"] if name == LENGTH), None)
    message: Any = simdjson.Parser().parse(body[:binary] if binary else body)
    entry = message["inputs"][0]
    if binary:
        array = np.frombuffer(body, np.float32, offset=binary).reshape(list(entry["shape"]))
    else:
        numbers = np.frombuffer(entry["data"].as_buffer(of_type="d"), np.float64)
        array = numbers.astype(np.float32).reshape(list(entry["shape"]))
    output = SESSIONS[scope["path"]].run(None, {entry["name"]: array})[0]
    described = {"name": "y", "datatype": "FP32", "shape": output.shape}
    extra = {"parameters": {"binary_data_size": output.nbytes}} if binary else {"data": output.ravel()}
    text = orjson.dumps({"outputs": [described | extra]}, option=orjson.OPT_SERIALIZE_NUMPY)
    answer = text + output.tobytes() if binary else text
    headers = [(b"content-length", b"%d" % len(answer))]
    return answer, [*headers, (LENGTH, b"%d" % len(text))] if binary else headers


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.servers.programs.bare_asgi:app",
        port=int(os.environ["PORT"]),
        workers=int(os.environ["WORKERS"]),
        access_log=False,
        log_level="warning",
    )
