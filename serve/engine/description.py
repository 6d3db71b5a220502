"""What a served model says of itself besides its graph: classes, columns, preprocessing, outputs, tokenizer.

Key by key, `config.toml` in the model's folder goes before the description in the model's file, and that
before the manifest.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from adaptact.text import escape_line
from convert.manifest.decode import ManifestError
from convert.manifest.description import Description, find_misfit, parse_description
from convert.manifest.entries import DESCRIPTION_KEY
from convert.manifest.preprocessing import Preprocessing, decode_preprocessing
from serve.engine.config import CONFIG_FILE
from serve.engine.description_files import ModelFolder
from serve.engine.errors import ConfigError, quote, quote_names
from serve.engine.loading import Cancellation
from serve.engine.manifest import Json, read_class_names
from serve.engine.repository import ModelFile
from serve.engine.signature import Signature
from serve.engine.tokenizer import TextTokenizer, takes_tokens

log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What holds for a served model, and where each part was read."""

    classes: tuple[str, ...] = ()
    """The names of the classes, in order; empty if they are not known."""
    columns: tuple[str, ...] = ()
    """The names of the columns of the model's one input; empty if they are not known."""
    preprocessing: Preprocessing | None = None
    """How an image becomes an input; None if that is not known."""
    problem: str = ""
    """Why images are not taken, where the file describes what cannot be followed."""
    outputs: tuple[str, ...] = ()
    """The names under which the outputs are served; empty for the file's own."""
    tokenizer: TextTokenizer | None = None
    """What makes tokens of texts; None for a model that takes none."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each part was read, by its name: a file's name, or `description` or `manifest` in the model's."""

    def show(self) -> dict[str, object]:
        """The parts that are known, as JSON."""
        values: dict[str, object] = {
            "classes": list(self.classes),
            "columns": list(self.columns),
            "preprocessing": None if self.preprocessing is None else self.preprocessing.to_json(),
            "outputs": list(self.outputs),
            "tokenizer": None if self.tokenizer is None else self.tokenizer.show(),
        }
        return {key: value for key, value in values.items() if key in self.origins and value is not None}


def describe_file(metadata: Mapping[str, str], manifest: Mapping[str, Json] | None) -> ModelDescription:
    """What the model's file says; a part that is not understood is left out, and logged."""
    recorded, problem = _read_manifest(manifest)
    described, origins = _merge([("manifest", recorded), ("description", _read_entry(metadata))])
    return ModelDescription(
        described.classes or (),
        described.columns or (),
        described.preprocessing,
        problem if described.preprocessing is None else "",
        origins=origins,
    )


def describe_model(
    entry: ModelFile, of_file: ModelDescription, signature: Signature, cancellation: Cancellation
) -> ModelDescription:
    """What holds for the model: what lies beside its file, and else what is in it.

    Raises `ConfigError` for what is in `config.toml` and does not fit the model, and `ModelRefusedError` for
    a tokenizer that cannot be read.
    """
    folder = ModelFolder(entry)
    of_folder, named = folder.read_description()
    misfit = _find_misfit(of_folder, signature)
    if misfit is not None:
        raise ConfigError(f"`{CONFIG_FILE}`: {escape_line(misfit)}")
    outputs = folder.read_outputs()
    _check_outputs(outputs, signature)
    origins = {**of_file.origins, **named, **({"outputs": CONFIG_FILE} if outputs else {})}
    columns = of_folder.columns or _keep_columns(of_file.columns, signature)
    if not columns:
        origins.pop("columns", None)
    tokenizer = _read_tokenizer(folder, signature, cancellation)
    if tokenizer is not None:
        origins["tokenizer"] = tokenizer.name
    return ModelDescription(
        of_folder.classes or of_file.classes,
        columns,
        of_folder.preprocessing or of_file.preprocessing,
        of_file.problem if of_folder.preprocessing is None else "",
        outputs,
        tokenizer,
        origins,
    )


def _merge(layers: Sequence[tuple[str, Description]]) -> tuple[Description, dict[str, str]]:
    """The descriptions one over the other, the last on top, and where each part is from."""
    merged, origins = Description(), {}
    for origin, layer in layers:
        merged = layer.over(merged)
        origins.update({part.name: origin for part in fields(layer) if getattr(layer, part.name) is not None})
    return merged, origins


def _read_manifest(manifest: Mapping[str, Json] | None) -> tuple[Description, str]:
    """The manifest's classes and preprocessing, and why the latter cannot be followed."""
    classes = tuple(read_class_names(manifest)) or None
    entries = (manifest or {}).get("preprocessing")
    if entries is None:
        return Description(classes), ""
    try:
        return Description(classes, preprocessing=decode_preprocessing(entries)), ""
    except ManifestError as error:
        # A part of it would make other inputs than those the model was trained on.
        return Description(classes), (
            f"the preprocessing in the model's manifest cannot be followed here ({escape_line(str(error))}); "
            "send tensors, not images"
        )


def _read_entry(metadata: Mapping[str, str]) -> Description:
    text = metadata.get(DESCRIPTION_KEY)
    if text is None:
        return Description()
    try:
        return parse_description(text)
    except ManifestError as error:
        log.warning("the description in a model's file is not used: %s", escape_line(str(error)))
        return Description()


def _find_misfit(described: Description, signature: Signature) -> str | None:
    inputs, outputs = (
        [(spec.name, spec.shape) for spec in specs] for specs in (signature.inputs, signature.outputs)
    )
    return find_misfit(described, inputs, outputs)


def _check_outputs(names: tuple[str, ...], signature: Signature) -> None:
    own = [spec.name for spec in signature.outputs]
    if names and (len(names) != len(own) or len(set(names)) != len(names)):
        raise ConfigError(
            f"`{CONFIG_FILE}`: `outputs` is {quote(list(names))}, expected {len(own)} different names, one "
            f"for each of: {quote_names(own)}"
        )


def _keep_columns(columns: tuple[str, ...], signature: Signature) -> tuple[str, ...]:
    """The file's columns where they fit its input, else none."""
    misfit = _find_misfit(Description(columns=columns or None), signature)
    if misfit is not None:
        log.warning("the columns in a model's file are not used: %s", escape_line(misfit))
        return ()
    return columns


def _read_tokenizer(
    folder: ModelFolder, signature: Signature, cancellation: Cancellation
) -> TextTokenizer | None:
    """The tokenizer beside the model; None for a model that takes no tokens, or if there is none."""
    file = folder.find_tokenizer()
    if file is None:
        return None
    if not takes_tokens(signature):
        if file.is_named:
            raise ConfigError(
                f"`{CONFIG_FILE}`: `tokenizer` is for inputs `input_ids`, `attention_mask` and "
                "`token_type_ids` of whole numbers, the first at least; the model's inputs: "
                f"{quote_names([spec.name for spec in signature.inputs])}"
            )
        return None
    return TextTokenizer(file.name, file.path, folder.read_length_limit(file.path), cancellation)
