"""What encrypts connections: the server's certificate, its key, and whose clients' certificates it takes."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from serve.access.errors import TlsError

LARGEST_FILE = 2**20


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files' contents are checked; with `client_ca` every client must show a certificate signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None
    context: ssl.SSLContext


def open_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """What the files say, None without any; raises `TlsError` for those that do not belong together."""
    if certificate is None or key is None:
        if certificate is key is client_ca is None:
            return None
        raise TlsError(
            "TLS needs both `--tls-certificate` and `--tls-key`; only one of them, or none, is given"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for what, path in (("certificate", certificate), ("key", key), ("clients' CA", client_ca)):
        if path is not None:
            _check_readable(what, path)
    try:
        # A password that is never asked for: nobody sits at a server's terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(
            f"the certificate `{certificate}` and the key `{key}` cannot be used: expected two PEM files "
            f"that belong together, the key without a password; {_reason(error)}"
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise TlsError(
                f"the clients' CA `{client_ca}` is not a PEM file of certificates; {_reason(error)}"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return Tls(certificate, key, client_ca, context)


def _check_readable(what: str, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise TlsError(f"the {what} `{path}` cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise TlsError(f"the {what} `{path}` is larger than {LARGEST_FILE} bytes")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
