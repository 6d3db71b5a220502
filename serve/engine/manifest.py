"""The converter's manifest in a model's file, read as plain JSON."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import orjson

from convert.manifest.entries import LARGEST_MANIFEST, MANIFEST_KEY

Strength: TypeAlias = Literal["strong", "weak", "unknown"]
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def read_manifest(metadata: Mapping[str, str]) -> dict[str, Json] | None:
    """The manifest in a model's metadata; None if it is missing or cannot be read."""
    text = metadata.get(MANIFEST_KEY)
    if text is None or len(text) > LARGEST_MANIFEST:
        return None
    try:
        manifest = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return manifest if isinstance(manifest, dict) else None


def read_class_names(manifest: Mapping[str, Json] | None) -> list[str]:
    """The names of the model's classes in order; empty if the manifest has none."""
    classes = (manifest or {}).get("classes")
    if not isinstance(classes, list):
        return []
    return [str(name) for name in classes]


def read_strength(manifest: Mapping[str, Json] | None) -> Strength | None:
    """How much the file's parity proves; None without a manifest."""
    if manifest is None:
        return None
    parity = manifest.get("parity")
    coverage = parity.get("coverage") if isinstance(parity, dict) else None
    if not isinstance(coverage, dict) or not isinstance(coverage.get("reasons"), list):
        return "unknown"
    return "weak" if coverage["reasons"] else "strong"
