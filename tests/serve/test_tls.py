"""The real process behind TLS, over HTTP and gRPC, with certificates of an authority of our own."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from tests.serve import models
from tests.serve.certificates import Certificates, write_certificates
from tests.serve.process import ServerProcess, free_port
from tests.waiting import until

WORKERS = 2
LIVE = "/inference.GRPCInferenceService/ServerLive"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    models.put(made, "double", models.model(models.DOUBLE))
    return made


def _asked(server: ServerProcess, context: ssl.SSLContext) -> int:
    with httpx.Client(verify=context) as client:
        body = {"instances": [[1, 2, 3]]}
        return client.post(f"{server.url}/v1/models/double:predict", json=body, timeout=60).status_code


def _trusting(files: Certificates, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.authority))
    if client is not None:
        context.load_cert_chain(*files.pair(client))
    return context


def _call(port: int, files: Certificates, client: str | None = None) -> bytes:
    chain = key = None
    if client is not None:
        chain, key = (path.read_bytes() for path in files.pair(client))
    credentials = grpc.ssl_channel_credentials(files.authority.read_bytes(), key, chain)
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        answer: bytes = channel.unary_unary(LIVE)(b"", timeout=60)
    return answer


@pytest.fixture(scope="module")
def encrypted(files: Certificates, folder: Path) -> Iterator[tuple[ServerProcess, int]]:
    port = free_port()
    with ServerProcess("--models", str(folder), *files.settings(), "--grpc-port", str(port)) as server:
        yield server, port


@pytest.mark.slow
def test_the_first_line_says_https_and_it_answers(
    encrypted: tuple[ServerProcess, int], files: Certificates
) -> None:
    server, port = encrypted
    assert f"adaptact-serve: https://127.0.0.1:{server.port} and gRPC" in server.first_line
    assert _asked(server, _trusting(files)) == 200
    assert _call(port, files) == b"\x08\x01"


def test_nothing_is_answered_that_is_not_encrypted(encrypted: tuple[ServerProcess, int]) -> None:
    server, port = encrypted
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{server.address}/v2/health/live", timeout=60)
    with grpc.insecure_channel(f"localhost:{port}") as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(LIVE)(b"", timeout=5)


def test_tls_before_1_2_is_refused(encrypted: tuple[ServerProcess, int], files: Certificates) -> None:
    server, _ = encrypted
    old = _trusting(files)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert _asked(server, _trusting(files)) == 200
    with (
        socket.create_connection((server.host, server.port), timeout=60) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(connection, server_hostname="localhost")


def _mutual(files: Certificates) -> tuple[str, ...]:
    return *files.settings(), "--tls-client-ca", str(files.authority)


@pytest.fixture(scope="module", params=[1, WORKERS])
def mutual(
    files: Certificates, folder: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[ServerProcess, int]]:
    port, workers = free_port(), ("--workers", str(request.param))
    options = (*_mutual(files), "--grpc-port", str(port), *workers)
    with ServerProcess("--models", str(folder), *options) as server:
        yield server, port


@pytest.mark.slow
def test_a_client_with_a_certificate_is_answered(
    mutual: tuple[ServerProcess, int], files: Certificates
) -> None:
    server, port = mutual
    for _ in range(WORKERS):  # each connection is another worker's
        assert _asked(server, _trusting(files, "client")) == 200
        assert _call(port, files, "client") == b"\x08\x01"


@pytest.mark.slow
@pytest.mark.parametrize("client", [None, "stranger"])
def test_any_other_client_is_refused(
    mutual: tuple[ServerProcess, int], files: Certificates, client: str | None
) -> None:
    server, port = mutual
    for _ in range(WORKERS):
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            _asked(server, _trusting(files, client))
        with pytest.raises(grpc.RpcError):
            _call(port, files, client)
    assert _asked(server, _trusting(files, "client")) == 200


def _answers(server: ServerProcess, files: Certificates) -> bool:
    try:
        return _asked(server, _trusting(files, "client")) == 200
    except (httpx.HTTPError, ssl.SSLError):
        return False


def _is_called(port: int, files: Certificates) -> bool:
    try:
        return _call(port, files, "client") == b"\x08\x01"
    except grpc.RpcError:
        return False


@pytest.mark.slow
def test_new_files_are_for_new_connections_of_every_worker(
    files: Certificates, folder: Path, tmp_path: Path
) -> None:
    used = write_certificates(tmp_path / "used")
    before = Certificates(Path(shutil.copytree(used.folder, tmp_path / "before")))
    port = free_port()
    options = (*_mutual(used), "--workers", str(WORKERS), "--grpc-port", str(port))
    with (
        ServerProcess("--models", str(folder), *options) as server,
        httpx.Client(verify=_trusting(before, "client"), base_url=server.url) as kept,
    ):
        assert kept.get("/v2/health/live").status_code == 200
        for each in files.folder.iterdir():
            shutil.copy(each, used.folder)
        until(lambda: all(_answers(server, files) for _ in range(2 * WORKERS)))
        # Over gRPC the system chooses the worker, so only many connections have met them all.
        until(lambda: all(_is_called(port, files) for _ in range(10)))
        until(lambda: not any(_is_called(port, before) for _ in range(10)))
        assert not any(_answers(server, before) for _ in range(2 * WORKERS))
        assert kept.get("/v2/health/live").status_code == 200
        used.pair("server")[1].write_text("rubbish")
        assert all(_answers(server, files) for _ in range(2 * WORKERS))
