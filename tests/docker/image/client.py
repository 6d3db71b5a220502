"""Waits for the server and asks it once; run inside the container's network.

Arguments: the port, the path to post to, and the file with the request's JSON. Standard output: JSON with
`ready_at` (seconds of the monotonic clock, which all processes of a machine share) and `answer`.
"""

import http.client
import json
import sys
import time
from pathlib import Path

READY_TIMEOUT_SECONDS = 30.0


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """The status and body that the server on `port` answers with; `OSError` where nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def wait_until_ready(port: int) -> float:
    """The time at which the server first said that it is ready; the program ends if that takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            status, last = ask(port, "GET", "/v2/health/ready")
        except OSError as error:
            last = repr(error)
        else:
            if status == http.HTTPStatus.OK:
                return time.monotonic()
        time.sleep(0.01)
    sys.exit(f"not ready after `{READY_TIMEOUT_SECONDS}` s; last: {last}")


def main() -> None:
    """Prints the answer; exits with the reason where there is none."""
    port, path, request = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8")
    ready_at = wait_until_ready(port)
    status, answer = ask(port, "POST", path, request)
    if status != http.HTTPStatus.OK:
        sys.exit(f"`POST {path}`: expected status `200`, got `{status}`: {answer}")
    sys.stdout.write(json.dumps({"ready_at": ready_at, "answer": json.loads(answer)}))


if __name__ == "__main__":
    main()
