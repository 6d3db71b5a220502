"""Options of the commands that ask a server."""

import ssl
from pathlib import Path
from typing import Annotated

import typer

from serve.client.errors import InvalidFileError

ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        "--key",
        envvar="ADAPTACT_API_KEY",
        help="API key; on a command line other users can see it.",
    ),
]
Certificates = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        exists=True,
        dir_okay=False,
        help="PEM file of certificates to trust. Default: the system's.",
    ),
]


def read_certificates(ca: Path | None) -> ssl.SSLContext | None:
    """What is trusted, None for what the system trusts; raises `InvalidFileError`."""
    try:
        return None if ca is None else ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise InvalidFileError(f"`{ca}` holds no certificates in PEM: {error.reason}") from error
    except OSError as error:
        raise InvalidFileError(f"`{ca}` cannot be read: {error.strerror}") from error
