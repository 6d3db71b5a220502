"""A manifest's sentences in another language than the English in which the file holds them."""

import asyncio
from collections.abc import Iterator, Mapping
from itertools import islice

from adaptact.languages.catalogue import Language
from serve.engine.manifest import Json

# Where a manifest holds sentences: the names on the way to them; of a list each entry.
SENTENCES = (
    ("source_notes",),
    ("activations", "words"),
    ("activations", "start", "origin"),
    ("declined", "reason"),
    ("dropped", "reason"),
    ("parity", "criterion"),
    ("parity", "coverage", "reasons"),
    ("parity", "outputs", "worst_set"),
    ("parity", "sets", "name"),
    ("tuning", "verdict"),
    ("rounding", "kept", "reason"),
)
MOST = 2000
"""Sentences that are looked up, which takes some milliseconds for each: any more stay in English."""


async def retell_manifest(manifest: Mapping[str, Json], language: Language) -> dict[str, Json]:
    """The manifest with what its sentences say in the language; one that is not known stays as it is."""
    if language == "en":
        return dict(manifest)
    return await asyncio.to_thread(_retell, manifest, language)


def _retell(manifest: Mapping[str, Json], language: Language) -> dict[str, Json]:
    # Imported only where it is used: it takes the memory of all messages.
    from adaptact.languages.recorded import retell_set  # noqa: PLC0415
    from adaptact.languages.spoken import speak  # noqa: PLC0415

    texts = (text for way in SENTENCES for text in _find_texts(dict(manifest), way))
    with speak(language):
        told = {text: retell_set(text) for text in islice(texts, MOST)}
    copy: dict[str, Json] = dict(manifest)
    for way in SENTENCES:
        copy[way[0]] = _replace(copy.get(way[0]), way[1:], told)
    return {name: copy[name] for name in manifest}


def _find_texts(value: Json, way: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _find_texts(entry, way)
    elif isinstance(value, dict) and way:
        yield from _find_texts(value.get(way[0]), way[1:])
    elif isinstance(value, str) and not way:
        yield value


def _replace(value: Json, way: tuple[str, ...], told: Mapping[str, str]) -> Json:
    """The value with the texts at the end of the way replaced; of any other form it stays as it is."""
    if isinstance(value, list):
        return [_replace(entry, way, told) for entry in value]
    if isinstance(value, dict) and way and way[0] in value:
        return {**value, way[0]: _replace(value[way[0]], way[1:], told)}
    if isinstance(value, str) and not way:
        return told.get(value, value)
    return value
