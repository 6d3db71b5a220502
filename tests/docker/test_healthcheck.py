"""The image's health check, run as the image runs it against a server of the test's own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from serve.settings import PREFIX
from tests.docker.paths import DOCKER
from tests.serve import models
from tests.serve.certificates import Certificates, write_certificates
from tests.serve.process import ServerProcess


class Answering(HTTPServer):
    """A server that answers everything with `status` and keeps the paths that it was asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.paths: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def answering(status: int) -> Iterator[Answering]:
    with Answering(status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def check(port: int, **settings: object) -> subprocess.CompletedProcess[str]:
    ours = {f"{PREFIX}{name}": str(value) for name, value in {"PORT": port, **settings}.items()}
    environment = {**os.environ, **ours}
    command = (sys.executable, DOCKER / "healthcheck.py")
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_ready_server_is_healthy() -> None:
    with answering(200) as server:
        checked = check(server.server_port)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert server.paths == ["/v2/health/ready"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_server_that_is_not_ready_is_unhealthy(status: int) -> None:
    with answering(status) as server:
        checked = check(server.server_port)
    assert checked.returncode == 1
    assert f"expected status `200` on port `{server.server_port}`, got `{status}`" in checked.stderr


def test_no_server_is_unhealthy() -> None:
    with answering(200) as server:
        port = server.server_port
    checked = check(port)
    assert checked.returncode == 1
    assert f"no answer on port `{port}`" in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.slow
@pytest.mark.parametrize("client_ca", [False, True])
def test_a_server_that_speaks_tls_is_asked_over_tls(
    certificates: Certificates, tmp_path: Path, client_ca: bool
) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    certificate, key = certificates.pair("server")
    given = {"TLS_CERTIFICATE": certificate, "TLS_KEY": key}
    options = list(certificates.settings())
    if client_ca:
        given["TLS_CLIENT_CA"] = certificates.authority
        options += ["--tls-client-ca", str(certificates.authority)]
    with ServerProcess("--models", str(tmp_path), *options) as server:
        checked = check(server.port, **given)
        unencrypted = check(server.port)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert unencrypted.returncode == 1


def test_a_missing_certificate_is_named(certificates: Certificates, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    checked = check(1, TLS_CERTIFICATE=gone, TLS_KEY=gone, TLS_CLIENT_CA=certificates.authority)
    assert checked.returncode == 1
    assert "the certificate or its key cannot be read" in checked.stderr
    assert "Traceback" not in checked.stderr
