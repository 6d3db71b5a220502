"""Ids of requests that the server issues: an outcome that names one is joined without a stored inference.

An id is 52 characters of base64 that can stand in a URL. The first 40 are the same for all requests of a unit
in a comparison: the comparison's number (5 bytes), the unit's digest (16, or zeros where the request is its
own unit) and a tag of both under the installation's key (9). The last 12 are random. So no id can be made for
the unit of somebody else, but for who knows one of that unit's. An id of a request that takes no part in a
comparison has the number 0.
"""

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import blake2b, sha256
from hmac import compare_digest
from itertools import chain
from typing import NamedTuple

from serve.experiments.units import DIGEST_BYTES, hash_unit

NUMBER_BYTES, TAG_BYTES, END_CHARACTERS = 5, 9, 12
OWN_UNIT = bytes(DIGEST_BYTES)
"""In place of the digest of a request that is its own unit, which is named by the id's end."""
_ID = re.compile(r"([A-Za-z0-9_-]{40})([A-Za-z0-9_-]{12})")
_BATCH = 512  # ends that are drawn at once, since each call of the system's generator costs as much


class IssuedId(NamedTuple):
    """What an id says of its request."""

    comparison: int
    """The number of `number_comparison`."""
    unit: bytes
    """The digest of its unit."""


class RequestIds:
    """The ids of one installation; those of all its processes and machines can be read by each."""

    def __init__(self, key: bytes) -> None:
        """`key` is that under which units are hashed."""
        self._key = key
        self.no_part = self.begin(0)
        """How the ids of requests begin that take no part in a comparison."""
        self.ends: Iterator[str] = chain.from_iterable(iter(_draw_ends, None))
        """A new end of an id each time."""

    def begin(self, comparison: int, unit: str | None = None) -> str:
        """How all ids begin of this unit, or of requests that are their own, in a comparison."""
        digest = OWN_UNIT if unit is None else self.hash_unit(unit)
        payload = comparison.to_bytes(NUMBER_BYTES, "big") + digest
        return urlsafe_b64encode(payload + self._tag(payload)).decode()

    def hash_unit(self, unit: str) -> bytes:
        """The unit's digest, which is stored in its place."""
        return hash_unit(self._key, unit)

    def read(self, text: str) -> IssuedId | None:
        """What the id says; None for one that was not issued here, or is of no request that takes part."""
        match = _ID.fullmatch(text)
        if match is None:
            return None
        content = urlsafe_b64decode(match[1])
        payload, tag = content[:-TAG_BYTES], content[-TAG_BYTES:]
        comparison, unit = int.from_bytes(payload[:NUMBER_BYTES], "big"), payload[NUMBER_BYTES:]
        if not comparison or not compare_digest(tag, self._tag(payload)):
            return None
        return IssuedId(comparison, self.hash_unit(match[2]) if unit == OWN_UNIT else unit)

    def _tag(self, payload: bytes) -> bytes:
        # Another function than that of units, since who names a unit sees its digest in the ids.
        return blake2b(payload, digest_size=TAG_BYTES, key=self._key, person=b"request id").digest()


def number_comparison(experiment: str, comparison: int) -> int:
    """A number of 40 bits for the comparison, never 0, the same everywhere."""
    digest = sha256(f"{comparison}/{experiment}".encode()).digest()
    return int.from_bytes(digest[:NUMBER_BYTES], "big") or 1


def _draw_ends() -> list[str]:
    text = secrets.token_urlsafe(_BATCH * END_CHARACTERS * 3 // 4)
    return [text[start : start + END_CHARACTERS] for start in range(0, len(text), END_CHARACTERS)]
