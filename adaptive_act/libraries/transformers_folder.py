"""The files of a folder of transformers, read as JSON and tensors alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from adaptact.suggestions import suggest_file
from adaptive_act.checkpoint.state import is_state
from adaptive_act.errors import CheckpointError, LibraryError
from adaptive_act.libraries.tokenizer_json import complete_tokenizer, read_json
from adaptive_act.libraries.weights import read_weights

MOST_SHARDS = 1000
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with a config.json."""

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "config.json").is_file():
            kind = "has no config.json" if self.path.is_dir() else "is no folder"
            raise LibraryError(
                f"`{self.path}` {kind}, expected a folder as `save_pretrained` of transformers writes it",
                hint=suggest_file(self.path) or "nothing is downloaded: name a folder that you have",
            )

    def read_config(self) -> dict[str, Any]:
        """What the config.json holds. Raises LibraryError where that is no JSON object."""
        return self._read("config.json")

    def _read(self, name: str) -> dict[str, Any]:
        return read_json(self.path / name)

    def find_weights(self, named: Path | None) -> tuple[Path, ...]:
        """The files with the weights: the one that the user names, or those in the folder."""
        if named is not None:
            return (named,)
        for name in _WEIGHTS:
            if (self.path / name).is_file():
                return (self.path / name,)
            shards = self._read(f"{name}.index.json").get("weight_map")
            if shards is not None:
                return self._find_shards(f"{name}.index.json", shards)
        raise LibraryError(
            f"`{self.path}` has no weights, expected {' or '.join(f'`{name}`' for name in _WEIGHTS)} in it",
            hint="name a file: --weights model.safetensors; to try things out: --random-weights",
        )

    def _find_shards(self, index: str, shards: object) -> tuple[Path, ...]:
        names = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []
        wrong = next((name for name in names if Path(name).name != name), None)
        if not names or wrong is not None or len(names) > MOST_SHARDS:
            raise LibraryError(f"`{self.path / index}` names `{wrong}`, expected files in the folder itself")
        return tuple(self.path / name for name in names)

    def read_tokenizer(self, longest: int | None, length: int | None) -> tuple[str | None, str | None]:
        """The tokenizer with its truncation and padding in it, or None and why, in words.

        It cuts texts to `longest` tokens, and fills those of a request up to the longest of them; where the
        model's length is fixed, to `length`.
        """
        path = self.path / "tokenizer.json"
        if not path.is_file():
            return None, (
                "no tokenizer.json, so that a server takes no texts; AutoTokenizer.from_pretrained(folder)"
                ".save_pretrained(folder) writes one"
            )
        settings = self._read("tokenizer_config.json")
        return complete_tokenizer(path, settings, self._read("config.json"), longest, length), None


def read_tensors(files: tuple[Path, ...]) -> dict[str, Tensor]:
    """The tensors of all files, by name. Raises CheckpointError where one holds anything else."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        content = read_weights(file)
        if not is_state(content) or not content:
            raise CheckpointError(f"`{file}` holds no tensors by name, as transformers writes them")
        tensors |= content
    return tensors
