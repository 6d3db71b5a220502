"""The evidence that the converter wrote into a model's file, read as plain JSON."""

from collections.abc import Mapping
from typing import TypeAlias

import orjson

KEY = "adaptact.manifest"
LIMIT_CHARACTERS = 32 * 2**20

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def read_manifest(metadata: Mapping[str, str]) -> dict[str, Json] | None:
    """The manifest in a model's metadata; None if there is none, or none that can be read."""
    text = metadata.get(KEY)
    if text is None or len(text) > LIMIT_CHARACTERS:
        return None
    try:
        manifest = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return manifest if isinstance(manifest, dict) else None


def class_names(manifest: Mapping[str, Json] | None) -> list[str]:
    """The names of the model's classes in order, or nothing."""
    classes = (manifest or {}).get("classes")
    if not isinstance(classes, list):
        return []
    return [str(name) for name in classes]
