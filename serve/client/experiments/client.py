"""A client of a server's experiments; replies are the server's JSON, which `replies.read` checks."""

import json
import math
from collections.abc import Mapping
from typing import Any, Never, TypeAlias
from urllib.parse import quote, urlencode

from serve.client.calls import Body, ClientCall, Reply
from serve.client.errors import InvalidInputError, InvalidReplyError
from serve.client.replies import Json
from serve.client.synchronous import Client

PREFIX = "/adaptact/v1"
Answer: TypeAlias = dict[str, Json]


class ExperimentClient(Client):
    """A client that leads experiments, too. Every method raises `ClientError`."""

    def experiments(self) -> Answer:
        """Every experiment, by name."""
        return self._ask(_get("experiments"))

    def experiment(self, name: str) -> Answer:
        """The experiment's definition, its phase, and what can be done with it."""
        return self._ask(_get(_path(name)))

    def results(self, name: str, language: str | None = None) -> Answer:
        """The verdict now, and what it rests on; its sentence in the language, or in that of all answers."""
        asked = {} if language is None else {"accept-language": language}
        return self._ask(ClientCall("GET", _path(name, "/results"), _read_object, headers=asked))

    def looks(self, name: str, most: int = 200) -> Answer:
        """What looks over time have shown."""
        return self._ask(_get(_path(name, "/looks"), most=most))

    def phases(self, name: str) -> Answer:
        """All phases, as `phases`."""
        return self._ask(ClientCall("GET", _path(name, "/phases"), lambda reply: {"phases": _parse(reply)}))

    def audit(self, name: str) -> Answer:
        """Who changed the experiment, when and why."""
        return self._ask(_get(_path(name, "/audit")))

    def plan(self, name: str, **assumptions: float) -> Answer:
        """What the experiment will show."""
        return self._ask(_get(_path(name, "/plan"), **assumptions))

    def plan_definition(self, definition: Mapping[str, Any], **assumptions: float) -> Answer:
        """What an experiment will show that is not stored."""
        path = f"{PREFIX}/experiments:plan?{urlencode(assumptions)}"
        return self._ask(_send("POST", path, definition, repeatable=True))

    def define(self, name: str, definition: Mapping[str, Any]) -> Answer:
        """The experiment, defined or amended; the same definition again changes nothing."""
        return self._ask(_send("PUT", _path(name), definition, repeatable=True))

    def act(self, name: str, act: str, reason: str = "", candidate: str = "") -> Answer:
        """The experiment after the act; sent again only if no connection was made."""
        texts = {"reason": reason, "candidate": candidate}
        given = {field: text for field, text in texts.items() if text}
        return self._ask(_send("POST", _path(name, f":{act}"), given, repeatable=False))

    def feedback(self, content: bytes, content_type: str) -> Answer:
        """What became of the outcomes, which are on the server's disk; sent again without harm."""
        body = Body(content, content_type=content_type)
        return self._ask(ClientCall("POST", f"{PREFIX}/feedback:bulk", _read_object, lambda _: body))


def _get(path: str, **query: object) -> ClientCall[Answer]:
    path = path if path.startswith("/") else f"{PREFIX}/{path}"
    return ClientCall("GET", f"{path}?{urlencode(query)}" if query else path, _read_object)


def _send(method: str, path: str, content: Mapping[str, Any], *, repeatable: bool) -> ClientCall[Answer]:
    try:
        body = Body(json.dumps(content, allow_nan=False).encode())
    except ValueError as error:
        raise InvalidInputError(f"this cannot be sent as JSON: {error}") from error
    return ClientCall(method, path, _read_object, lambda _: body, repeatable=repeatable)


def _path(name: str, rest: str = "") -> str:
    """The path of an experiment, whose name is one part of it whatever is in it."""
    if name in ("", ".", ".."):
        raise InvalidInputError(f"`{name}` cannot be the name of an experiment")
    return f"{PREFIX}/experiments/{quote(name, safe='', errors='surrogateescape')}{rest}"


def _read_object(reply: Reply) -> Answer:
    value = _parse(reply)
    if not isinstance(value, dict):
        raise InvalidReplyError(f"the reply is not an object, got `{repr(value)[:80]}`")
    return value


def _parse(reply: Reply) -> Json:
    """The reply's JSON, in which every number is finite, so that it can be printed as JSON again."""
    try:
        value: Json = json.loads(bytes(reply.body), parse_float=_read_finite, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidReplyError(f"the reply is not JSON: {error}") from error
    return value


def _read_finite(text: str) -> float:
    if not math.isfinite(float(text)):
        _refuse_constant(text)
    return float(text)


def _refuse_constant(text: str) -> Never:
    raise ValueError(f"the number `{text[:40]}` is not finite")
