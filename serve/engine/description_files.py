"""The files beside a model that say what it is: `config.toml`, the names of its classes, its tokenizer."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adaptact.text import escape_line
from convert.manifest.decode import ManifestError
from convert.manifest.description import Description, check_names, decode_description, parse_names
from convert.manifest.preprocessing import IMAGENET, Preprocessing
from serve.engine.config import CONFIG_FILE, read_content
from serve.engine.errors import ConfigError, quote, quote_names
from serve.engine.repository import DESCRIBING, TOKENIZER_FILE, ModelFile

MAX_NAMES_BYTES = 16 * 2**20
MAX_SETTINGS_BYTES = 16 * 2**20
TOKENIZER_SETTINGS = "tokenizer_config.json"
PRESETS = {"imagenet": IMAGENET}
# transformers writes 1e30 where a tokenizer has no limit.
MAX_LENGTH = 2**24


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """Where a tokenizer lies; `is_named` where `config.toml` names it."""

    path: Path
    name: str
    is_named: bool = False


class ModelFolder:
    """What lies beside a version's file. A bare `<name>.onnx` has nothing but `<name>.tokenizer.json`."""

    def __init__(self, entry: ModelFile) -> None:
        """Read `config.toml`; raises `ConfigError` if that cannot be."""
        self._entry = entry
        # The version's own file goes before the one that all versions share.
        self._folders = (entry.path.parent,) if entry.bare else (entry.path.parent, entry.path.parents[1])
        self._content = {} if entry.bare else read_content(entry.path.parents[1] / CONFIG_FILE)

    def read_description(self) -> tuple[Description, dict[str, str]]:
        """Classes, columns and preprocessing, and the file in which each stands; raises `ConfigError`."""
        given = {key: self._content[key] for key in Description.__dataclass_fields__ if key in self._content}
        origins = dict.fromkeys(given, CONFIG_FILE)
        with _name_config():
            for key in ("classes", "columns"):
                if isinstance(given.get(key), str):
                    path = self._find_named(key, given[key], DESCRIBING)
                    origins[key] = path.name
                    given[key] = _read_names(path)
            if isinstance(given.get("preprocessing"), str):
                given["preprocessing"] = _choose_preset(given["preprocessing"]).to_json()
            return decode_description(given), origins

    def read_outputs(self) -> tuple[str, ...]:
        """The names under which the outputs are served, empty for their own; raises `ConfigError`."""
        if "outputs" not in self._content:
            return ()
        with _name_config():
            return check_names(self._content["outputs"], "outputs")

    def find_tokenizer(self) -> TokenizerFile | None:
        """The file that `config.toml` names, else the one beside the model; raises `ConfigError`."""
        named = self._content.get("tokenizer")
        if named is not None:
            path = self._find_named("tokenizer", named, (".json",))
            return TokenizerFile(path, path.name, is_named=True)
        path = self._entry.path
        own = path.with_name(f"{path.stem}.{TOKENIZER_FILE}")
        others = [] if self._entry.bare else [folder / TOKENIZER_FILE for folder in self._folders]
        found = next((file for file in (own, *others) if file.is_file()), None)
        if found is None:
            return None
        self._check_inside(found)
        return TokenizerFile(found, found.name)

    def read_length_limit(self, tokenizer: Path) -> int | None:
        """The most tokens that `tokenizer_config.json` beside the tokenizer names; None if it names none."""
        path = tokenizer.with_name(TOKENIZER_SETTINGS)
        if self._entry.bare or not path.is_file():
            return None
        self._check_inside(path)
        try:
            with path.open("rb") as stream:
                settings = json.loads(stream.read(MAX_SETTINGS_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"`{TOKENIZER_SETTINGS}` cannot be read as JSON: {quote(str(error))}"
            ) from error
        limit = settings.get("model_max_length") if isinstance(settings, dict) else None
        return limit if type(limit) is int and 1 <= limit <= MAX_LENGTH else None

    def _find_named(self, key: str, name: object, suffixes: Sequence[str]) -> Path:
        """The file of this name in the version's folder, else in the model's; raises `ConfigError`."""
        # Other places and suffixes are not looked at when the folder is checked for changes.
        if not isinstance(name, str) or Path(name).name != name or Path(name).suffix not in suffixes:
            raise ConfigError(
                f"`{CONFIG_FILE}`: `{key}` is {quote(name)}, expected the name of a file beside it that ends "
                f"in {' or '.join(suffixes)}"
            )
        found = next((folder / name for folder in self._folders if (folder / name).is_file()), None)
        if found is None:
            raise ConfigError(
                f"`{CONFIG_FILE}`: `{key}` names {quote(name)}, and there is no such file in the model's "
                "folder or the version's"
            )
        self._check_inside(found)
        return found

    def _check_inside(self, path: Path) -> None:
        models = self._folders[-1] if self._entry.bare else self._folders[-1].parent
        if not path.resolve().is_relative_to(models.resolve()):
            raise ConfigError(f"{quote(path.name)} is a link that leads out of the models folder")


def _read_names(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_NAMES_BYTES + 1)
        if len(text) > MAX_NAMES_BYTES:
            raise ConfigError(f"{quote(path.name)} is larger than {MAX_NAMES_BYTES} bytes")
        return list(parse_names(text.decode(), path.name))
    except OSError as error:
        raise ConfigError(f"{quote(path.name)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{quote(path.name)} is not UTF-8: {error.reason}") from error


def _choose_preset(name: str) -> Preprocessing:
    if name not in PRESETS:
        raise ConfigError(
            f"`{CONFIG_FILE}`: `preprocessing` is {quote(name)}, expected a table, or: "
            f"{quote_names(list(PRESETS))}"
        )
    return PRESETS[name]


@contextmanager
def _name_config() -> Iterator[None]:
    """A `ManifestError` becomes a `ConfigError` that says where it stands."""
    try:
        yield
    except ManifestError as error:
        raise ConfigError(f"`{CONFIG_FILE}`: {escape_line(str(error))}") from error
