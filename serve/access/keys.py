"""API keys: a TOML file of their names, digests, roles and limits; never the keys themselves.

    [[key]]
    name = "line-3"
    sha256 = "5e88…"                # 64 hexadecimal digits
    roles = ["infer"]               # of infer, admin, metrics, feedback
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.access.errors import KeysFileError
from serve.access.reloaded_file import ReloadedFiles
from serve.engine.errors import quote, quote_names

log = logging.getLogger("adaptact")

Role: TypeAlias = Literal["infer", "admin", "metrics", "feedback"]
ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "adaptact_"  # so that people, and programs that look for leaked secrets, recognise a key
LARGEST_FILE = 2**20
LONGEST_KEY = 512
MOST_KEYS = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
FIELDS = ("name", "sha256", "roles", "requests_per_second")
# What a wrong field is answered with, by its name; the digest's own text does not quote it.
EXPECTED = {
    "name": "letters, digits and `._@-`",
    "roles": f"some of: {quote_names(list(ROLES))}",
    "requests_per_second": "0 to 1000000",
}


class Key(BaseModel):
    """Whom a key belongs to, what it allows, and how many requests a second (0: the server's own limit)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    digest: Annotated[str, Field(alias="sha256", pattern="^[0-9a-f]{64}$")]
    roles: Annotated[frozenset[Role], Field(min_length=1, strict=False)]  # a list, in TOML
    requests_per_second: Annotated[float, Field(ge=0, le=1e6)] = 0.0


class KeysFile:
    """The keys of a file, read again when it changes; if it then cannot be read the old ones stay valid."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises `KeysFileError`."""
        self._path = path
        self._file = ReloadedFiles(path)
        self._keys = read_keys(path)
        self._problem = ""

    def find(self, secret: str) -> Key | None:
        """The key with this secret, or None; both take the same time."""
        if self._file.has_changed():
            self._reload()
        digest = hash_key(secret)
        match = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                match = key
        return match

    def _reload(self) -> None:
        try:
            self._keys = read_keys(self._path)
        except KeysFileError as error:
            # As with too many open files: else a key that was removed would stay valid until the next change.
            if isinstance(error.__cause__, OSError):
                self._file.look_again()
            if str(error) != self._problem:
                log.error("%s; the keys read before stay valid", error)
            self._problem = str(error)
        else:
            self._problem = ""
            log.info("%d keys read again from `%s`", len(self._keys), self._path.name)


def generate_secret() -> str:
    """A new key, which nobody has yet."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(secret: str) -> str:
    """The digest that the file holds of a key; a text of more than LONGEST_KEY characters is cut."""
    return hashlib.sha256(secret[:LONGEST_KEY].encode()).hexdigest()


def format_key(name: str, secret: str, roles: frozenset[Role], requests_per_second: float = 0.0) -> str:
    """The lines of the file for a new key."""
    shown = ", ".join(f'"{role}"' for role in ROLES if role in roles)
    lines = ["[[key]]", f'name = "{name}"', f'sha256 = "{hash_key(secret)}"', f"roles = [{shown}]"]
    if requests_per_second:
        lines.append(f"requests_per_second = {requests_per_second!r}")
    return "\n".join(lines) + "\n"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The file's keys; raises `KeysFileError` where it cannot be read or a value is not allowed."""
    document = _read_document(path)
    tables = document.pop("key", [])
    if document or not isinstance(tables, list) or len(tables) > MOST_KEYS:
        raise KeysFileError(
            f"the keys file `{path}` holds something else than at most {MOST_KEYS} tables `[[key]]`"
        )
    keys = tuple(_parse_key(path, number, table) for number, table in enumerate(tables, 1))
    _require_different(path, keys)
    return keys


def _require_different(path: Path, keys: Sequence[Key]) -> None:
    names: set[str] = set()
    owners: dict[str, str] = {}
    for key in keys:
        if key.name in names:
            raise KeysFileError(f"the keys file `{path}` has two keys named {quote(key.name)}")
        names.add(key.name)
        owner = owners.setdefault(key.digest, key.name)
        if owner != key.name:
            # Which name, roles and limit a request has would be chance.
            raise KeysFileError(
                f"the keys file `{path}` has one key under two names, {quote(owner)} and {quote(key.name)}; "
                "make another with `adaptact key`"
            )


def _read_document(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KeysFileError(f"the keys file `{path}` cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise KeysFileError(f"the keys file `{path}` is larger than {LARGEST_FILE} bytes")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise KeysFileError(f"the keys file `{path}` is not TOML: {quote(str(error))}") from error


def _parse_key(path: Path, number: int, table: object) -> Key:
    where = f"key {number} of the keys file `{path}`"
    if not isinstance(table, Mapping):
        raise KeysFileError(f"{where} is not a table")
    for field in table:
        if field not in FIELDS:
            raise KeysFileError(
                f"{where} has an unknown field {quote(field)}; known: {quote_names(list(FIELDS))}"
            )
    try:
        return Key.model_validate(table)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
    if field == "sha256":
        # Not quoted, and not chained: somebody may have put the key itself there.
        raise KeysFileError(f"{where}: `sha256` is not 64 hexadecimal digits; make one with `adaptact key`")
    raise KeysFileError(f"{where}: `{field}` is {quote(table.get(field))}, expected {EXPECTED[str(field)]}")
