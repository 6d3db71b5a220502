"""Refusals of inference requests at their heads, before their bodies are read.

A server that is asked too much answers mostly refusals, whose cost is missing for the other requests.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import Receive, Scope, Send

from adaptact.languages.catalogue import Language
from serve.access.control import Authorizer
from serve.access.errors import AccessError
from serve.engine.engine import Engine
from serve.engine.errors import EngineError, QueueFullError
from serve.rejections import count_rejection, retry_after_seconds
from serve.rest.access import admit
from serve.rest.errors import make_error_response
from serve.rest.language import read_language
from serve.rest.lockstep import LOCKSTEP, Lockstep
from serve.rest.pacing import LateRefusals

if TYPE_CHECKING:
    from serve.rollout.trials import Trials

DIFFERENT_REFUSALS = 256


class Refusal(NamedTuple):
    """An answer to a request that is not read; `late` are those that are to come late."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    retry_seconds: float
    """When the same request may succeed; 0 where waiting does not help."""
    late: LateRefusals

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give this answer as an application does."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class QueueGate:
    """Refuses requests for which the queue has no room, unless access control refuses them first."""

    def __init__(
        self, engine: Engine, authorizer: Authorizer, late: LateRefusals, trials: "Trials | None" = None
    ) -> None:
        """Nothing is refused yet."""
        self._trials = trials
        self._late = late
        self._lockstep = Lockstep()
        self._engine = engine
        # None where inference needs no key, so that it does not pay for the check.
        self._authorizer = None if authorizer.is_open else authorizer

    def refuse(self, scope: Scope, name: str, version: str | None) -> Refusal | None:
        """The refusal of this request to the model, counted; None if it may be read."""
        try:
            model = self._engine.model(name, version)
        except EngineError:
            return None  # who reads the request says so
        error = self._engine.refuse(model)
        if error is None or (version is None and self._has_room_in_variant(name)):
            # Of a long model, each request takes its place in the queue before the next one is looked at.
            if model.may_be_short:
                scope[LOCKSTEP] = self._lockstep
            return None
        if self._authorizer is not None:
            try:
                admit(self._authorizer, "infer", scope)
            except AccessError as refused:
                return _make_refusal(refused, self._late, read_language(scope["headers"]))
        language = read_language(scope["headers"])
        refusal = _make_queue_refusal(str(error), ceil(error.retry_after_seconds), self._late, language)
        model.metrics.count_failure(0.0)
        model.metrics.count_request(refusal.status)
        count_rejection(self._engine.metrics, error)
        return refusal

    def _has_room_in_variant(self, name: str) -> bool:
        """Whether the model is in an experiment of which one variant at least can take a request.

        Which one it is to be may stand in the body: the variant's own queue judges once that is read.
        """
        participants = None if self._trials is None else self._trials.routes.get(name)
        return participants is not None and any(map(self._has_room, participants.targets))

    def _has_room(self, target: tuple[str, str | None]) -> bool:
        try:
            return self._engine.refuse(self._engine.model(*target)) is None
        except EngineError:
            return False


@lru_cache(DIFFERENT_REFUSALS)
def _make_queue_refusal(message: str, retry_seconds: int, late: LateRefusals, language: Language) -> Refusal:
    return _make_refusal(QueueFullError(message, retry_seconds), late, language)


def _make_refusal(error: EngineError, late: LateRefusals, language: Language) -> Refusal:
    response = make_error_response(error, language)
    seconds = retry_after_seconds(error) or 0.0
    return Refusal(response.status_code, response.raw_headers, bytes(response.body), seconds, late)
