"""The aliases of models: what one may be, and where they are stored."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from adaptact.files import replace_file
from serve.engine.errors import AliasError, StateError, quote, quote_names

STABLE = "stable"
"""The alias that answers where no version is named."""
ALIAS_FILE = "aliases.json"
ALIASES, SINCE = "aliases", "stable_since"
"""What the file holds."""
ALIAS_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MAX_ALIASES = 16
MAX_FILE_BYTES = 2**24


def require_alias(name: str, alias: str, others: Collection[str]) -> None:
    """Raises `AliasError` for a name that cannot be an alias, and where the model has too many others."""
    if not ALIAS_NAME.fullmatch(alias):
        raise AliasError(
            f"alias {quote(alias)} cannot be: expected 1 to 32 lower-case letters, digits, dashes and "
            "underscores, the first a letter"
        )
    if alias not in others and len(others) >= MAX_ALIASES:
        raise AliasError(f"model {quote(name)} has {MAX_ALIASES} aliases; remove one first")


def require_served(name: str, alias: str, version: str, versions: list[str]) -> None:
    """Raises `AliasError` where the version is none of those that can answer."""
    if version not in versions:
        raise AliasError(
            f"alias {quote(alias)} cannot mean version {quote(version)} of model {quote(name)}, "
            f"which does not serve; versions: {quote_names(versions)}"
        )


class AliasStore:
    """The aliases of each model and their versions; stored in a file if a state folder is set.

    Of `stable` it is also known since when it is as it is: promotions of before that are past.
    """

    def __init__(self, folder: Path | None) -> None:
        """Read the file; raises `StateError` if that fails."""
        self._path = folder / ALIAS_FILE if folder else None
        self._versions, self._since = _read_file(self._path) if self._path else ({}, {})

    def read(self, name: str) -> dict[str, str]:
        """The model's aliases and the version of each."""
        return dict(self._versions.get(name, {}))

    def since(self, name: str) -> int:
        """When `stable` was last set or removed, in microseconds since 1970; 0 if it never was."""
        return self._since.get(name, 0)

    def set(self, name: str, alias: str, version: str, at: int) -> None:
        """Point the alias at the version; raises `AliasError` as `require_alias` does."""
        require_alias(name, alias, self.read(name))
        changed = {**self.read(name), alias: version}
        self._replace({**self._versions, name: changed}, self._note(name, alias, at))

    def forget(self, name: str, alias: str, at: int) -> None:
        """The alias does not exist from then on."""
        left = self.read(name)
        left.pop(alias, None)
        others = {other: versions for other, versions in self._versions.items() if other != name}
        self._replace({**others, name: left} if left else others, self._note(name, alias, at))

    def _note(self, name: str, alias: str, at: int) -> Mapping[str, int]:
        return {**self._since, name: at} if alias == STABLE else self._since

    def _replace(self, versions: Mapping[str, Mapping[str, str]], since: Mapping[str, int]) -> None:
        """Store these aliases, on disk first so that no acknowledged change is lost."""
        if self._path:
            _write_file(self._path, versions, since)
        self._versions = {name: dict(aliases) for name, aliases in versions.items()}
        self._since = dict(since)


def _read_file(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        raise StateError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"`{path}` is not JSON: {quote(str(error))}; remove it to start without") from error
    since: dict[str, int] = {}
    if isinstance(content, dict) and content.keys() == {ALIASES, SINCE} and _is_times(content[SINCE]):
        content, since = content[ALIASES], content[SINCE]  # else of a version that knew no times
    if not _is_alias_table(content):
        raise StateError(f"`{path}` is not a table of aliases by model; remove it to start without")
    return {str(name): dict(aliases) for name, aliases in content.items()}, since


def _is_times(content: object) -> bool:
    return isinstance(content, dict) and all(type(since) is int for since in content.values())


def _is_alias_table(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(aliases, dict)
        and all(
            ALIAS_NAME.fullmatch(alias) and isinstance(version, str) for alias, version in aliases.items()
        )
        for aliases in content.values()
    )


def _write_file(path: Path, versions: Mapping[str, Mapping[str, str]], since: Mapping[str, int]) -> None:
    text = json.dumps({ALIASES: versions, SINCE: since}, indent=1, sort_keys=True)
    if len(text) > MAX_FILE_BYTES:  # it could not be read at the next start
        raise StateError(f"`{path}` may have {MAX_FILE_BYTES} bytes and is full; remove aliases first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as new:
            new.write_text(text)
    except OSError as error:
        raise StateError(f"`{path}` cannot be written: {error.strerror}") from error
