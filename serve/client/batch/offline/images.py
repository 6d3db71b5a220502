"""A folder of images: a shard is some of its files."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.client.batch.offline.batches import Batch, Instance, InstanceBatch, UnreadableRow
from serve.client.batch.offline.shards import Shard, ShardSize, read_stamp, require_stamp
from serve.client.batch.rows import describe_file
from serve.client.errors import InvalidFileError
from serve.protocol.descriptions import ModelMetadata
from serve.protocol.images import KEY, NOT_DESCRIBED

SHARD_IMAGES = 512
FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The PNG and JPEG files of a folder, by their names."""

    path: Path
    stamp: tuple[int, int]
    files: tuple[str, ...]
    """Each file's name, size and time."""

    def fingerprint(self) -> str:
        """The digest of the files' names, sizes and times."""
        return hashlib.sha256("\n".join(self.files).encode()).hexdigest()

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Shards of files."""
        size = ShardSize(size.batch, min(size.rows, max(1, SHARD_IMAGES // size.batch) * size.batch))
        for start, stop in size.cut(len(self.files)):
            yield stop - start, self.files[start:stop]

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The bytes of the files; raises `ChangedFileError` for one that is not what it was."""
        for start in range(0, shard.rows, batch):
            files = [str(file).rsplit(" ", 2) for file in shard.place[start : start + batch]]
            images: list[Instance] = []
            for name, size, time in files:
                require_stamp(self.path / name, (int(size), int(time)))
                images.append(_read_image(self.path / name))
            yield InstanceBatch(shard.first + start + 1, images, tuple(name for name, *_ in files))

    def __reduce__(self) -> tuple[type["ImageFolder"], tuple[object, ...]]:
        """Sent without the files: each shard brings its own."""
        return ImageFolder, (self.path, self.stamp, ())


def open_images(path: Path, names: Sequence[str], model: ModelMetadata) -> ImageFolder:
    """The files of these names in the folder; raises `InvalidFileError` if the model takes no images."""
    if "preprocessing" not in (model.description or {}):
        raise InvalidFileError(f"`{path}` holds images; {NOT_DESCRIBED}")
    return ImageFolder(path, read_stamp(path), tuple(describe_file(path / name) for name in sorted(names)))


def _read_image(path: Path) -> Instance:
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES + 1)
    except OSError as error:
        return UnreadableRow(f"it cannot be read: {error.strerror}")
    if len(content) > FILE_BYTES:
        return UnreadableRow(f"it has more than {FILE_BYTES} bytes")
    return {KEY: base64.b64encode(content).decode()}
