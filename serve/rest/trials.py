"""Experiments over REST: where a request names its unit, and what its reply says."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.types import Scope

from serve.experiments.routing import REPLY_HEADERS, UNIT_HEADER
from serve.observe.access_log import REQUEST_ID, SAFE_ID, Identity
from serve.rest.access import IDENTITY
from serve.rest.middleware import RequestTimings

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

UNIT = UNIT_HEADER.encode()
NAMES = frozenset((UNIT, REQUEST_ID))
HEADERS = tuple(name.encode() for name in REPLY_HEADERS)


def begin_trial(
    trials: "Trials",
    scope: Scope,
    model: str,
    timings: RequestTimings | None,
    unit: object = None,
    may_change: bool = False,
) -> "Trial | None":
    """The trial of a request with this parameter for its unit; None if it is in no experiment.

    It says so in the timings of a traced request. `may_change` is whether its inputs may be others by the
    time that a mirrored request runs.
    """
    if model not in trials.routes:
        return None
    identity: Identity | None = scope.get(IDENTITY)
    request_id = None if identity is None else identity.request_id
    header = chosen = None
    for name, value in scope["headers"]:
        # A look-up by a hash that reading the request has computed before is the cheapest test.
        if name in NAMES:
            if name == UNIT:
                header = value
            else:
                chosen = value
    if request_id is None and chosen is not None and SAFE_ID.fullmatch(chosen):
        request_id = chosen.decode()
    trial = trials.begin(model, header, unit, request_id, not may_change)
    if timings is not None:
        timings.trial = trial
    return trial


def write_trial_headers(described: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of a reply whose trial is described so; none for one that is not."""
    if not described:
        return []
    experiment, variant, request_id = described.values()
    return [*_write_names(experiment, variant), (HEADERS[-1], request_id.encode())]


@lru_cache(1000)
def _write_names(experiment: str, variant: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that many replies have."""
    return (HEADERS[0], experiment.encode()), (HEADERS[1], variant.encode())
