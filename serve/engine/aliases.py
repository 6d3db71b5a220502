"""Names for versions, such as `stable` and `candidate`: clients ask for them, and the operator moves them."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from serve.engine.errors import AliasError, StateError, quoted

STABLE = "stable"
"""The alias that answers where no version is named."""
FILE = "aliases.json"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MOST = 16
LARGEST_BYTES = 2**20


class Aliases:
    """By model and alias, the version meant; kept in a file where there is a folder for it."""

    def __init__(self, folder: Path | None) -> None:
        """Read what is kept; raises `StateError` where that cannot be done."""
        self._path = folder / FILE if folder else None
        self._versions = _read(self._path) if self._path else {}

    def of(self, name: str) -> dict[str, str]:
        """The model's aliases and the version that each means."""
        return dict(self._versions.get(name, {}))

    def set(self, name: str, alias: str, version: str) -> None:
        """Let the alias mean the version; raises `AliasError` for a name that cannot be one."""
        if not NAME.fullmatch(alias):
            raise AliasError(
                f"alias {quoted(alias)} cannot be: expected 1 to 32 lower-case letters, digits, dashes and "
                "underscores, the first a letter"
            )
        changed = {**self.of(name), alias: version}
        if len(changed) > MOST:
            raise AliasError(f"model {quoted(name)} has {MOST} aliases; remove one first")
        self._replace({**self._versions, name: changed})

    def remove(self, name: str, alias: str) -> None:
        """Forget the alias; raises `AliasError` where there is none."""
        left = self.of(name)
        if left.pop(alias, None) is None:
            raise AliasError(f"model {quoted(name)} has no alias {quoted(alias)}")
        others = {each: versions for each, versions in self._versions.items() if each != name}
        self._replace({**others, name: left} if left else others)

    def _replace(self, versions: Mapping[str, Mapping[str, str]]) -> None:
        """Keep these from here on: on the disk first, so that nothing that was told is forgotten."""
        if self._path:
            _write(self._path, versions)
        self._versions = {name: dict(aliases) for name, aliases in versions.items()}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(LARGEST_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"`{path}` is not JSON: {quoted(str(error))}; remove it to start without") from error
    if not _is_of_text(content):
        raise StateError(f"`{path}` is not a table of aliases by model; remove it to start without")
    return {str(name): dict(aliases) for name, aliases in content.items()}


def _is_of_text(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(aliases, dict)
        and all(NAME.fullmatch(alias) and isinstance(version, str) for alias, version in aliases.items())
        for aliases in content.values()
    )


def _write(path: Path, versions: Mapping[str, Mapping[str, str]]) -> None:
    # Of this process alone: several workers may keep the same folder.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w") as stream:
            json.dump(versions, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise StateError(f"`{path}` cannot be written: {error.strerror}") from error
