"""The files of a folder of transformers, read as JSON and tensors alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from adaptact.suggestions import suggest_file
from adaptive_act.checkpoint.state import is_state
from adaptive_act.errors import CheckpointError, LibraryError
from adaptive_act.libraries.weights import read_weights

LARGEST_JSON = 16 * 2**20  # bytes; a config names its classes, up to some ten thousand
LARGEST_TOKENIZER = 64 * 2**20
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


def read_json(path: Path) -> dict[str, Any]:
    """The file's JSON object, empty where there is no file. Raises LibraryError for other content."""
    if not path.is_file():
        return {}
    with path.open("rb") as stream:
        text = stream.read(LARGEST_JSON + 1)
    if len(text) > LARGEST_JSON:
        raise LibraryError(f"`{path}` is larger than {LARGEST_JSON} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"`{path}` is not JSON: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise LibraryError(f"`{path}` is a `{type(content).__name__}`, expected a JSON object")
    return content


def complete_tokenizer(
    path: Path,
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    longest: int | None,
    length: int | None,
) -> str:
    """The tokenizer's JSON with truncation and padding, as the settings and the model's config have them.

    Raises LibraryError where it is no tokenizer.
    """
    if path.stat().st_size > LARGEST_TOKENIZER:
        raise LibraryError(f"`{path}` is larger than {LARGEST_TOKENIZER} bytes")
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415

        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except ModuleNotFoundError as error:
        raise LibraryError(f"reading `{path}` needs `tokenizers`", hint="pip install tokenizers") from error
    except Exception as error:  # tokenizers raises nothing more specific
        raise LibraryError(f"`{path}` is no tokenizer: {str(error)[:200]}") from error
    token = settings.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    number = tokenizer.token_to_id(token) if isinstance(token, str) else config.get("pad_token_id")
    most = settings.get("model_max_length")
    limits = [limit for limit in (most, longest, length) if isinstance(limit, int) and 0 < limit < 10**6]
    if limits:
        tokenizer.enable_truncation(min(limits), direction=settings.get("truncation_side") or "right")
    if isinstance(number, int):
        tokenizer.enable_padding(
            direction=settings.get("padding_side") or "right",
            pad_id=number,
            pad_token=token if isinstance(token, str) else tokenizer.id_to_token(number) or "",
            length=length,
        )
    return str(tokenizer.to_str())


def read_tensors(files: tuple[Path, ...]) -> dict[str, Tensor]:
    """The tensors of all files, by name. Raises CheckpointError where one holds anything else."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        content = read_weights(file)
        if not is_state(content) or not content:
            raise CheckpointError(f"`{file}` holds no tensors by name, as transformers writes them")
        tensors |= content
    return tensors
