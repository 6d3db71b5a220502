"""A Dockerfile's stages and instructions, as far as the tests read them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the image that it starts from, and its instructions after FROM, in order."""

    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, keyword: str) -> list[str]:
        """What stands behind each `keyword`."""
        return [value for name, value in self.instructions if name == keyword]

    def only(self, keyword: str) -> str:
        """What stands behind the one `keyword`; `ValueError` if there is none or more than one."""
        (value,) = self.all(keyword)
        return value

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its ENV instructions set."""
        pairs = (pair.split("=", 1) for value in self.all("ENV") for pair in value.split())
        return {name: value for name, value in pairs}

    @property
    def health_options(self) -> dict[str, str]:
        """The flags of its health check, named as a compose file names them."""
        flags = re.findall(r"--([\w-]+)=(\S+)", self.only("HEALTHCHECK").partition("CMD ")[0])
        return {name.replace("-", "_"): value for name, value in flags}

    @property
    def health_command(self) -> list[str]:
        """The exec form of its health check; `JSONDecodeError` if it is not in exec form."""
        command: list[str] = json.loads(self.only("HEALTHCHECK").partition("CMD ")[2])
        return command


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The stages of one Dockerfile; build arguments in FROM are replaced by their defaults."""

    stages: tuple[Stage, ...]

    @property
    def last_stage(self) -> Stage:
        """The stage that becomes the image."""
        return self.stages[-1]

    @classmethod
    def read(cls, path: Path) -> "Dockerfile":
        """The Dockerfile at `path`."""
        arguments: dict[str, str] = {}
        stages: list[tuple[str, list[tuple[str, str]]]] = []
        for keyword, value in instructions(path.read_text(encoding="utf-8")):
            if keyword == "ARG" and not stages:
                name, _, default = value.partition("=")
                arguments[name] = default
            elif keyword == "FROM":
                base = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], value.split()[0])
                stages.append((base, []))
            else:
                stages[-1][1].append((keyword, value))
        return cls(tuple(Stage(base, tuple(lines)) for base, lines in stages))


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction's keyword in capitals and what stands behind it, comments gone and lines joined."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", uncommented)
    lines = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(keyword.upper(), re.sub(r"\s+", " ", value.strip())) for keyword, _, value in lines]
