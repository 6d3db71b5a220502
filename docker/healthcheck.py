"""The image's health check: exits 0 when the server answers that it is ready, else 1 with one line why."""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

TIMEOUT_SECONDS = 2.5  # under the image's `--timeout=3s`, so that the reason is recorded


def find_problem(settings: Mapping[str, str]) -> str | None:
    """Why the server with these settings is not ready; None if it is ready."""
    port = int(settings["ADAPTACT_PORT"])
    try:
        connection = connect(port, settings)
    except OSError as error:
        return f"the certificate or its key cannot be read: {error!r}"
    try:
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on port `{port}`: {error!r}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"expected status `200` on port `{port}`, got `{status}`"


def connect(port: int, settings: Mapping[str, str]) -> http.client.HTTPConnection:
    """A connection to this machine's `port`, over TLS where the server has a certificate."""
    certificate = settings.get("ADAPTACT_TLS_CERTIFICATE")
    if not certificate:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate has the name that clients use; here the server is on this machine.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.get("ADAPTACT_TLS_CLIENT_CA"):
        context.load_cert_chain(certificate, settings["ADAPTACT_TLS_KEY"])
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(find_problem(os.environ))
