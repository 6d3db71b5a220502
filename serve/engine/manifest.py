"""The converter's manifest in a model's file, read as plain JSON."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeGuard

import orjson

from convert.manifest.entries import (
    BASELINE_KEY,
    LARGEST_BASELINE,
    LARGEST_MANIFEST,
    MANIFEST_KEY,
    SIGNATURE_KEY,
)
from convert.manifest.size_bounds import SizeBounds

SIGNATURE = re.compile(r"ed25519:([0-9a-f]{64}):[0-9a-f]{128}")
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


def read_baseline_entry(metadata: Mapping[str, str], manifest: Mapping[str, Json] | None) -> Json:
    """What the model's tensors held on real data: an entry of its own, else the manifest's; None without."""
    text = metadata.get(BASELINE_KEY)
    if text is None:
        return (manifest or {}).get("baseline")
    try:
        content: Json = orjson.loads(text) if len(text) <= LARGEST_BASELINE else ""
    except orjson.JSONDecodeError:
        return ""  # none that anybody reads
    return content


def read_signer(metadata: Mapping[str, str]) -> str | None:
    """The fingerprint of the key that the file names as its signer, unverified; None where it names none."""
    match = SIGNATURE.fullmatch(metadata.get(SIGNATURE_KEY, ""))
    return match[1] if match else None


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


def read_size_bounds(manifest: Mapping[str, Json] | None) -> dict[str, SizeBounds]:
    """The bounds of the model's free sizes, by name; entries that are none are left out."""
    entries = (manifest or {}).get("sizes")
    found = map(_read_bounds, entries if isinstance(entries, list) else ())
    return {bounds.name: bounds for bounds in found if bounds is not None}


def read_integer_limits(manifest: Mapping[str, Json] | None) -> dict[str, int]:
    """By input, the number that its whole numbers are below; only those that the manifest knows."""
    entries = (manifest or {}).get("inputs")
    return {
        str(entry.get("name")): below
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and _is_whole(below := entry.get("below")) and below > 0
    }


def _read_bounds(entry: Json) -> SizeBounds | None:
    if not isinstance(entry, dict):
        return None
    name, low, high = entry.get("name"), entry.get("low", 0), entry.get("high")
    multiple = entry.get("multiple", 1)
    if not isinstance(name, str) or not _is_whole(low) or not _is_whole(multiple):
        return None
    if high is not None and not _is_whole(high):
        return None
    try:
        return SizeBounds(name, low, high, multiple)
    except ValueError:
        return None


def _is_whole(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
