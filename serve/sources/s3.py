"""A bucket of S3, or of a server that speaks the same: `s3://bucket/prefix`.

Credentials, endpoint and region come from the environment, by AWS' own names.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from adaptact.text import first_line
from serve.sources.address import is_own
from serve.sources.errors import PartRefusedError, SourceError
from serve.sources.source import Download, SourceFile

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT, READ = timedelta(seconds=10), timedelta(seconds=30)
PAGE = timedelta(seconds=60)
"""For one page of the list."""
WHOLE = timedelta(hours=24)
"""For one file; a slow one is given up by whoever reads it."""
RETRIES, RETRY = 3, timedelta(seconds=60)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
NO_KEY = "; AWS_ACCESS_KEY_ID is not set, so that only a role of this machine could give access"
IN_THE_CLEAR = (
    "endpoint `%s` is without TLS, so that whoever is on the way could change models; take https, or set "
    "AWS_ALLOW_HTTP=true"
)


class S3Source:
    """The objects below a prefix."""

    def __init__(self, url: str) -> None:
        """Nothing is asked yet; raises `SourceError` for what the environment lacks."""
        parts = urlsplit(url)
        prefix = unquote(parts.path).strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"s3://{parts.netloc}/{prefix}"
        try:
            self._lists, self._files = (_make_store(parts.netloc, timeout) for timeout in (PAGE, WHOLE))
        except (BaseError, ValueError) as error:
            raise self._tell(error) from error

    def list_files(self) -> Iterator[SourceFile]:
        """As of any source; the stamp is the ETag."""
        try:
            for page in obstore.list(self._lists, self._prefix or None):
                for found in page:
                    key = found["path"]
                    tag = found["e_tag"] or found["last_modified"].isoformat()
                    yield SourceFile(key.removeprefix(self._prefix), found["size"], tag, where=key)
        except (BaseError, ValueError, OSError) as error:
            raise self._tell(error) from error

    def open(self, file: SourceFile) -> Download:
        """As of any source; the digest is that of the object's own metadata, `sha256`, if it has one."""
        try:
            answer = obstore.get(self._files, file.where, options={"if_match": file.stamp})
        except (PreconditionError, FileNotFoundError) as error:
            raise PartRefusedError(f"`{file.path}` has changed since it was listed") from error
        except (BaseError, ValueError, OSError) as error:
            raise self._tell(error) from error
        # Some servers do not heed the condition.
        if (answer.meta["e_tag"] or "").strip('"') != file.stamp.strip('"'):
            raise PartRefusedError(f"`{file.path}` has changed since it was listed")
        return Download(self._read(answer), str(answer.attributes.get("sha256", "")).lower())

    def _read(self, answer: "obstore.GetResult") -> Iterator[bytes]:
        try:
            for piece in answer.stream(min_chunk_size=1):  # as they arrive
                yield bytes(piece)
        except (BaseError, ValueError, OSError) as error:
            raise self._tell(error) from error

    def _tell(self, error: Exception) -> SourceError:
        hint = "" if os.environ.get("AWS_ACCESS_KEY_ID") else NO_KEY
        return SourceError(f"`{self._where}` cannot be read: {first_line(error)}{hint}")


def _make_store(bucket: str, timeout: timedelta) -> S3Store:
    """The bucket, of which each request may take so long."""
    options: ClientConfig = {"timeout": timeout, "connect_timeout": CONNECT, "read_timeout": READ}
    endpoint = next((value for name in ENDPOINTS if (value := os.environ.get(name))), "")
    if endpoint.startswith("http://"):
        if not (is_own(endpoint) or os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")):
            raise SourceError(IN_THE_CLEAR % endpoint)
        options["allow_http"] = True
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        try:
            options["root_certificate"] = Path(bundle).read_bytes()
        except OSError as error:
            raise SourceError(f"AWS_CA_BUNDLE `{bundle}` cannot be read: {error.strerror}") from error
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": RETRY}
    return S3Store(bucket, client_options=options, retry_config=retry)
