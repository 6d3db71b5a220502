"""TLS: the server's certificate and key, and the CA of its clients' certificates."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serve.access.errors import TlsError
from serve.access.reloaded_file import ReloadedFiles

log = logging.getLogger("adaptact")

LARGEST_FILE = 2**20
HTTP2 = "h2"  # its name in the TLS handshake


@dataclass(frozen=True, slots=True)
class TlsCredentials:
    """Python's TLS contexts of the files, for HTTP/1.1 and for HTTP/2, which gRPC is."""

    context: ssl.SSLContext
    http2_context: ssl.SSLContext


class Tls:
    """PEM files, read again when they change; if they then cannot be used the old contents stay in use.

    With `client_ca` every client must show a certificate signed by it. A connection keeps the credentials it
    began with.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Read the files; raises `TlsError` for files that do not belong together."""
        self.certificate, self.key, self.client_ca = certificate, key, client_ca
        self._files = ReloadedFiles(*(path for path in (certificate, key, client_ca) if path is not None))
        self._newest = self._read()
        self._problem = ""
        self.context: ssl.SSLContext = _NewestContext(lambda: self.newest().context)
        self.http2_context: ssl.SSLContext = _NewestContext(lambda: self.newest().http2_context)

    def newest(self) -> TlsCredentials:
        """The credentials for a new connection; the same object as before where no file has changed."""
        if self._files.has_changed():
            self._reload()
        return self._newest

    def _reload(self) -> None:
        try:
            self._newest = self._read()
        except TlsError as error:
            self._files.look_again()  # a certificate may be there a moment before its key
            if str(error) != self._problem:
                log.error("%s; what was read before stays in use", error)
            self._problem = str(error)
        else:
            self._problem = ""
            log.info("the certificate was read again from `%s`", self.certificate.name)

    def _read(self) -> TlsCredentials:
        _check_file("certificate", self.certificate)
        _check_file("key", self.key)
        if self.client_ca is not None:
            _check_file("clients' CA", self.client_ca)
        context, http2_context = (
            _create_context(self.certificate, self.key, self.client_ca) for _ in range(2)
        )
        http2_context.set_alpn_protocols([HTTP2])
        return TlsCredentials(context, http2_context)


class _NewestContext(ssl.SSLContext):
    """A context for a server that keeps one for ever: each new connection uses the newest."""

    def __new__(cls, newest: Callable[[], ssl.SSLContext]) -> "_NewestContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        self._find_newest = newest

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        context = self._find_newest()
        return context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def open_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """TLS with these files, None without any; raises `TlsError` for files that do not belong together."""
    if certificate is not None and key is not None:
        return Tls(certificate, key, client_ca)
    if certificate is key is client_ca is None:
        return None
    raise TlsError("TLS needs both `--tls-certificate` and `--tls-key`; only one of them, or none, is given")


def _create_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An empty password, so that OpenSSL does not ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise TlsError(
            f"the certificate `{certificate}` and the key `{key}` cannot be used: expected two PEM files "
            f"that belong together, the key without a password; {_describe_error(error)}"
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise TlsError(
                f"the clients' CA `{client_ca}` is not a PEM file of certificates; {_describe_error(error)}"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_file(subject: str, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise TlsError(f"the {subject} `{path}` cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise TlsError(f"the {subject} `{path}` is larger than {LARGEST_FILE} bytes")


def _describe_error(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
