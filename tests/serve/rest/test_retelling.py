import asyncio
from typing import Any

import pytest

from serve.engine import Engine
from serve.engine.manifest import Json
from serve.rest import retelling
from serve.rest.retelling import retell_manifest
from tests.serve.in_process import Client

ORIGIN = "the fixed point at ReLU()"
IN_JAPANESE = "不動点 ReLU()"


def _retell(manifest: dict[str, Json]) -> dict[str, Any]:
    return asyncio.run(retell_manifest(manifest, "ja"))


def test_sentences_are_in_the_language_and_all_else_is_as_it_was() -> None:
    activation: dict[str, Json] = {"layer": ORIGIN, "words": "words of nobody's", "start": {"origin": ORIGIN}}
    told = _retell({"format": "adaptact-manifest/1.4", "activations": [activation], "source_notes": [ORIGIN]})
    assert told == {
        "format": "adaptact-manifest/1.4",
        "activations": [activation | {"start": {"origin": IN_JAPANESE}}],
        "source_notes": [IN_JAPANESE],
    }


@pytest.mark.parametrize(
    "manifest",
    [{}, {"activations": None}, {"parity": 7, "tuning": [[ORIGIN]]}, {"activations": {"start": ORIGIN}}],
)
def test_a_manifest_of_any_form_is_left_as_it_is(manifest: dict[str, Json]) -> None:
    assert _retell(manifest) == manifest


def test_only_so_many_sentences_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retelling, "MOST", 1)
    told = _retell({"source_notes": [ORIGIN], "declined": [{"reason": "the fixed point at ELU()"}]})
    assert told == {"source_notes": [IN_JAPANESE], "declined": [{"reason": "the fixed point at ELU()"}]}


def test_the_route_takes_a_language(client: Client, engine: Engine) -> None:
    plain = client.get("/v2/models/classifier/manifest").json()
    asked = {"Accept-Language": "ja"}
    assert client.request("GET", "/v2/models/classifier/versions/1/manifest", headers=asked).json() == plain
