"""The copy of a source: a models folder of which each part names the files that it was made from.

That record lies in the part's own folder, so that folder and record take each other's place in one step.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from adaptact.files import replace_file, sync_folder
from serve.engine.repository import NAME, VERSION
from serve.sources.errors import SourceError
from serve.sources.parts import Key, Part

OWN = ".source"
"""The folder in the copy with what is no model, and the record in a part's folder."""
STAGING, REPLACED, LOCK = "arriving", "replaced", "lock"
EMPTY = {"lost+found"}
"""What a disk of its own has that holds nothing."""
LARGEST_RECORD = 4 * 2**20


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the copy: what the source said of it, and what it was once it was written."""

    size: int
    stamp: str
    sha256: str
    modified_ns: int


class LocalCopy:
    """The models folder that a source is copied into; only one process changes it at a time."""

    def __init__(self, folder: Path) -> None:
        """The folder is made where it is missing. Raises `SourceError` for one that is no copy."""
        self.folder = folder
        self.own = folder / OWN
        try:
            if not self.own.is_dir() and folder.exists() and {path.name for path in folder.iterdir()} - EMPTY:
                raise SourceError(f"folder `{folder}` holds other files; name an empty one for the copy")
            self.own.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"folder `{folder}` cannot be used for the copy: {error.strerror}") from error

    @contextmanager
    def lock(self, *, waits: bool) -> Iterator[bool]:
        """Whether no other process changes the copy within the block; what an earlier one left is settled.

        `waits` waits until that is so.
        """
        with (self.own / LOCK).open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._settle()
            yield True

    def list_keys(self) -> list[Key]:
        """The parts that have a record."""
        keys: list[Key] = []
        for model in sorted(self.folder.iterdir()):
            if not NAME.fullmatch(model.name) or not model.is_dir():
                continue
            if (model / OWN).is_file():
                keys.append((model.name, ""))
            keys += [
                (model.name, version.name)
                for version in sorted(model.iterdir())
                if VERSION.fullmatch(version.name) and (version / OWN).is_file()
            ]
        return keys

    def has_current(self, part: Part) -> bool:
        """Whether the part here was made from just these files, and has not changed since."""
        record = self.read_record(part.key)
        listed = {part.name(file): (file.size, file.stamp) for file in part.files}
        return {name: (file.size, file.stamp) for name, file in record.items()} == listed and all(
            _is_as_written(self.locate(part.key) / name, file) for name, file in record.items()
        )

    def locate(self, key: Key) -> Path:
        """The part's folder."""
        return self.folder.joinpath(*filter(None, key))

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """An empty folder beside the models, which is gone after the block."""
        folder = self.own / STAGING
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def install(self, part: Part, staged: Path, digests: dict[str, str]) -> None:
        """Put the staged files, with these digests, in the place of the part; raises `OSError`."""
        record = {}
        for file in part.files:
            name = part.name(file)
            status = (staged / name).stat()
            record[name] = CopiedFile(file.size, file.stamp, digests[name], status.st_mtime_ns)
        place = self.locate(part.key)
        place.parent.mkdir(exist_ok=True)
        if part.version:
            _write_record(staged, record)
            _sync_folders(staged)
            self._exchange(staged, place)
        else:
            place.mkdir(exist_ok=True)
            for name in sorted(self.read_record(part.key).keys() - record.keys()):
                (place / name).unlink(missing_ok=True)
            for name in record:
                (staged / name).replace(place / name)
            _write_record(place, record)

    def remove(self, key: Key) -> None:
        """The part is gone, and its model's folder if nothing else is in it; raises `OSError`."""
        place = self.locate(key)
        if key[1]:
            gone = self.own / REPLACED / "@".join(key)
            gone.parent.mkdir(exist_ok=True)
            place.rename(gone)
            (gone / OWN).unlink()  # from now on it is not put back
            shutil.rmtree(gone)
        else:
            for name in [*self.read_record(key), OWN]:
                (place / name).unlink(missing_ok=True)
        model = self.folder / key[0]
        if not any(model.iterdir()):
            model.rmdir()

    def find_damaged(self) -> list[Key]:
        """The parts whose files do not have the digests that they were written with."""
        return [key for key in self.list_keys() if not self._is_intact(key)]

    def read_record(self, key: Key) -> dict[str, CopiedFile]:
        """What the part was made from, by the files' paths in it; empty without a record."""
        try:
            with (self.locate(key) / OWN).open("rb") as stream:
                content = json.loads(stream.read(LARGEST_RECORD))
            return {str(name): CopiedFile(**fields) for name, fields in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _is_intact(self, key: Key) -> bool:
        record, place = self.read_record(key), self.locate(key)
        return bool(record) and all(_has_digest(place / name, file.sha256) for name, file in record.items())

    def _exchange(self, staged: Path, place: Path) -> None:
        """One folder in the place of the other; a process that ends in between is followed by `_settle`."""
        replaced = self.own / REPLACED / f"{place.parent.name}@{place.name}"
        replaced.parent.mkdir(exist_ok=True)
        if place.exists():
            place.rename(replaced)
        try:
            staged.rename(place)
        except OSError:
            if replaced.exists():
                replaced.rename(place)
            raise
        sync_folder(place.parent)
        shutil.rmtree(replaced, ignore_errors=True)

    def _settle(self) -> None:
        """Undo what a process has begun that was ended: what was replaced by nothing yet goes back."""
        shutil.rmtree(self.own / STAGING, ignore_errors=True)
        for replaced in list((self.own / REPLACED).glob("*@*")):
            model, _, version = replaced.name.rpartition("@")
            place = self.folder / model / version
            if (replaced / OWN).is_file() and not place.exists():
                replaced.rename(place)
            else:
                shutil.rmtree(replaced, ignore_errors=True)


def hash_file(path: Path) -> str:
    """The file's SHA-256, in hexadecimal; raises `OSError`."""
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        return hash_file(path) == sha256
    except OSError:
        return False


def _is_as_written(path: Path, file: CopiedFile) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.modified_ns)


def _write_record(folder: Path, record: dict[str, CopiedFile]) -> None:
    with replace_file(folder / OWN) as temporary:
        temporary.write_text(json.dumps({name: asdict(file) for name, file in record.items()}))


def _sync_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))
