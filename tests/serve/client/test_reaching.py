"""What is said, and at once, of a server that cannot be reached."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.client import Client, ClientError, Retry
from serve.client.transport import Transport
from tests.serve.certificates import write_certificates

PATIENT = Retry(attempts=1000, first_seconds=60.0, largest_seconds=60.0)
AT_ONCE = Retry(attempts=1000, first_seconds=60.0, largest_seconds=60.0, connecting=1)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else takes it, and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that greets each connection, and answers none."""
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        if context is None:
                            connection.recv(1000)
                            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        else:
                            context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=60)


def failure(url: str, retry: Retry, transport: Transport = Transport()) -> ClientError:  # noqa: B008  # frozen
    with Client(url, timeout_seconds=600.0, retry=retry, transport=transport) as client:
        with pytest.raises(ClientError) as raised:
            client.is_live()
        return raised.value


def test_a_refused_connection_is_said_at_once(closed_port: int) -> None:
    error = failure(f"http://127.0.0.1:{closed_port}", AT_ONCE)
    assert not error.is_connected
    assert "refused" in str(error)
    assert error.hint is not None
    assert "adaptact serve" in error.hint


def test_an_unknown_host_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure("http://host.invalid:8000", PATIENT)
    assert (error.is_connected, error.hint) == (
        False,
        "no machine is known by that name: check the address",
    )


def test_an_unknown_certificate_names_the_option(tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.pair("server"))
    with listening(context) as port:
        error = failure(f"https://127.0.0.1:{port}", PATIENT)
    assert error.hint == "name the certificates to trust: `--ca server.pem`"


def test_tls_to_a_server_without_it_says_so() -> None:
    with listening(None) as port:
        error = failure(f"https://127.0.0.1:{port}", PATIENT)
    assert error.hint == "does the server speak TLS? without it the address begins with `http://`"


def test_no_tls_to_a_server_with_it_says_so(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificates(tmp_path).pair("server"))
    with listening(context) as port:
        error = failure(f"http://127.0.0.1:{port}", Retry(attempts=1))
    assert error.hint == "if the server speaks TLS, its address begins with `https://`"


def test_a_certificate_for_another_name_says_so(tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.pair("server"))
    trusting = Transport(tls=ssl.create_default_context(cafile=str(files.authority)))
    with listening(context, "127.0.0.2") as port:
        error = failure(f"https://127.0.0.2:{port}", PATIENT, trusting)
    assert error.hint == "address the server by a name that is in its certificate"
