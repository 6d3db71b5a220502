"""API keys: a TOML file of their names, digests, roles and limits; never the keys themselves.

    [[key]]
    name = "line-3"
    sha256 = "5e88…"                # 64 hexadecimal digits
    roles = ["infer"]               # of infer, admin, metrics
    requests_per_second = 100       # optional

A key is 32 random bytes, which nobody guesses and no dictionary holds, so a plain SHA-256 keeps it secret; a
slow hash would only let a client without a key keep the server busy.
"""

import hashlib
import hmac
import logging
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from serve.access.errors import KeysFileError
from serve.access.reloaded_file import Watched
from serve.engine.errors import listed, quoted

log = logging.getLogger("adaptact")

Role: TypeAlias = Literal["infer", "admin", "metrics"]
ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "adaptact_"  # so that people, and programs that look for leaked secrets, know one when they see it
LARGEST_FILE = 2**20
LONGEST_KEY = 512
MOST_KEYS = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
FIELDS = ("name", "sha256", "roles", "requests_per_second")


@dataclass(frozen=True, slots=True)
class Key:
    """Whom a key belongs to, what it allows, and how many requests a second (0: as many as come)."""

    name: str
    digest: str
    roles: frozenset[Role]
    requests_per_second: float = 0.0


class KeysFile:
    """The keys of a file, read again when it changes; if it then cannot be read the old ones stay valid."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises `KeysFileError`."""
        self._path = path
        self._watched = Watched(path)
        self._keys = read_keys(path)

    def find(self, secret: str) -> Key | None:
        """The key that this is, or None; as long for one that nobody has as for any other."""
        self._look()
        digest = key_digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _look(self) -> None:
        if not self._watched.changed():
            return
        try:
            self._keys = read_keys(self._path)
        except KeysFileError as error:
            log.error("%s; the keys read before stay valid", error)
        else:
            log.info("%d keys read again from `%s`", len(self._keys), self._path.name)


def new_secret() -> str:
    """A key that nobody has yet."""
    return PREFIX + secrets.token_urlsafe(32)


def key_digest(secret: str) -> str:
    """What the file holds of a key; text of more than LONGEST_KEY characters is nobody's and is cut."""
    return hashlib.sha256(secret[:LONGEST_KEY].encode()).hexdigest()


def entry(name: str, secret: str, roles: frozenset[Role], requests_per_second: float = 0.0) -> str:
    """The lines of the file for a new key."""
    shown = ", ".join(f'"{role}"' for role in ROLES if role in roles)
    lines = ["[[key]]", f'name = "{name}"', f'sha256 = "{key_digest(secret)}"', f"roles = [{shown}]"]
    if requests_per_second:
        lines.append(f"requests_per_second = {requests_per_second:g}")
    return "\n".join(lines) + "\n"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The file's keys; raises `KeysFileError` where it cannot be read or says what cannot be."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KeysFileError(f"the keys file `{path}` cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise KeysFileError(f"the keys file `{path}` is larger than {LARGEST_FILE} bytes")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise KeysFileError(f"the keys file `{path}` is not TOML: {quoted(str(error))}") from error
    entries = document.pop("key", [])
    if document or not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise KeysFileError(
            f"the keys file `{path}` holds something else than at most {MOST_KEYS} tables `[[key]]`"
        )
    keys = tuple(_key(path, number, each) for number, each in enumerate(entries, 1))
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise KeysFileError(f"the keys file `{path}` has two keys named {quoted(name)}")
    return keys


def _key(path: Path, number: int, entry: object) -> Key:
    where = f"key {number} of the keys file `{path}`"
    if not isinstance(entry, Mapping):
        raise KeysFileError(f"{where} is not a table")
    for field in entry:
        if field not in FIELDS:
            raise KeysFileError(
                f"{where} has an unknown field {quoted(field)}; known: {listed(list(FIELDS))}"
            )
    name, digest, roles = entry.get("name"), entry.get("sha256"), entry.get("roles")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise KeysFileError(f"{where}: `name` is {quoted(name)}, expected letters, digits and `._@-`")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        # Not quoted: somebody may have put the key itself there.
        raise KeysFileError(f"{where}: `sha256` is not 64 hexadecimal digits; make one with `adaptact-key`")
    if not isinstance(roles, list) or not roles or not set(map(str, roles)) <= set(ROLES):
        raise KeysFileError(f"{where}: `roles` is {quoted(roles)}, expected some of: {listed(list(ROLES))}")
    limit = entry.get("requests_per_second", 0)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1e6:
        raise KeysFileError(f"{where}: `requests_per_second` is {quoted(limit)}, expected 0 to 1000000")
    return Key(name, digest, frozenset(roles), float(limit))
