"""The image's health check: exits 0 when the server answers that it is ready, else 1 with one line why."""

import http.client
import os
import sys

TIMEOUT_SECONDS = 2.5  # under the image's `--timeout=3s`, so that the reason is recorded


def readiness(port: int) -> str | None:
    """The reason why the server on this machine's `port` is not ready; None if it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on port `{port}`: {error!r}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"expected status `200` on port `{port}`, got `{status}`"


if __name__ == "__main__":
    sys.exit(readiness(int(os.environ["ADAPTACT_PORT"])))
