"""Images and the files in them, kept by buildah in a folder of our own."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docker.image.commands import run


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about how it is to be started."""

    command: tuple[str, ...]
    environment: tuple[str, ...]
    user: str
    health_command: tuple[str, ...]

    def variable(self, name: str) -> str:
        """The value of the environment variable `name`; `KeyError` if the image does not set it."""
        return dict(entry.split("=", 1) for entry in self.environment)[name]


@dataclass(frozen=True, slots=True)
class Store:
    """buildah's images under `folder`."""

    folder: Path

    def buildah(self, *arguments: str) -> str:
        """What `buildah` printed."""
        root = (f"--root={self.folder / 'images'}", f"--runroot={self.folder / 'run'}")
        # Plain folders and chroot need nothing of the kernel, so that this works inside a container too.
        isolation = {"BUILDAH_ISOLATION": "chroot"}
        return run("buildah", *root, "--storage-driver=vfs", *arguments, environment=isolation).strip()

    def names(self) -> list[str]:
        """Every image's full name."""
        return self.buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()

    def config(self, image: str) -> ImageConfig:
        """How `image` is to be started."""
        config = json.loads(self.buildah("inspect", "--type", "image", image))["Docker"]["config"]
        kind, *health_command = config["Healthcheck"]["Test"]
        if kind != "CMD":
            raise ValueError(f"expected a health check in exec form, got `{kind}`")
        return ImageConfig(
            tuple(config["Entrypoint"]) + tuple(config.get("Cmd") or ()),
            tuple(config["Env"]),
            config["User"],
            tuple(health_command),
        )

    @contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """A copy of the files of `image`, gone afterwards."""
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)


def bytes_of_files(folder: Path) -> int:
    """The bytes in all files below `folder`, each file counted once however many names it has."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            status = Path(parent, name).lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
