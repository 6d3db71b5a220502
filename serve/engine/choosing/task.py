"""What is to be chosen for one model, and the key under which the choice is remembered."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field

from adaptact.providers.catalogue import PROVIDERS, describe_target
from adaptact.providers.machine import list_versions
from adaptact.providers.plug_in import PlugInProvider
from serve.engine.providers import CudaOptions

FORMAT = "adaptact-provider/1"
PLUG_INS = [each for each in PROVIDERS.values() if isinstance(each, PlugInProvider)]
LIMIT_SECONDS = 120
"""Of a whole trial, with loading and comparing answers."""


@dataclass(frozen=True, slots=True)
class ChoiceTask:
    """The file, and what a run of it may take."""

    name: str
    version: str
    path: str
    is_bare: bool
    digest: str
    """SHA-256 of its files; another content is not measured."""
    limit_bytes: int
    threads: int
    """The most threads of a run."""
    rows: int
    """The most rows of a run."""
    seconds: float
    """The time allowed for timing: of the processor, where a run has one thread."""
    cuda: CudaOptions = field(default_factory=CudaOptions)
    """How a GPU would be used."""
    usual_rows: int = 0
    """The rows of a usual run; 0 where they are not known."""

    def make_key(self) -> str:
        """The digest of all that the choice depends on: the file, the machine, versions and options."""
        content = {
            "format": FORMAT,
            "digest": self.digest,
            "processor": describe_target(),
            "versions": list_versions(),
            "libraries": [os.environ.get(each.library_variable) for each in PLUG_INS],
            "threads": self.threads,
            "rows": self.rows,
            "seconds": self.seconds,
            "cuda": asdict(self.cuda),
            "usual_rows": self.usual_rows,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """The task as `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ChoiceTask":
        """The task in the text."""
        content = json.loads(text)
        cuda = content.pop("cuda")
        return cls(**content, cuda=CudaOptions(**{**cuda, "graph_rows": tuple(cuda["graph_rows"])}))
