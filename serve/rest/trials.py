"""Experiments over REST: where a request names its unit, and what its reply says."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from serve.experiments.routing import REPLY_HEADERS, UNIT_HEADER
from serve.observe.access_log import REQUEST_ID, SAFE_ID
from serve.rest.middleware import RequestTimings

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

UNIT = UNIT_HEADER.encode()
HEADERS = tuple(name.encode() for name in REPLY_HEADERS)


def begin_trial(
    trials: "Trials",
    fields: Mapping[bytes, bytes],
    target: tuple[str, str | None],
    timings: RequestTimings | None,
    unit: object = None,
) -> "Trial | None":
    """The trial of a request with these headers and this parameter for its unit; None if it is in none.

    `target` is the model and the version that it names. The timings of a traced request say so too.
    """
    model, version = target
    participants = trials.routes.get(model)
    if participants is None or version is not None:
        return None
    chosen = fields.get(REQUEST_ID)
    request_id = chosen.decode() if chosen is not None and SAFE_ID.fullmatch(chosen) else None
    trial = trials.begin(participants, fields.get(UNIT), unit, request_id)
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
