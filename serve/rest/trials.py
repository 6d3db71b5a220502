"""Experiments over REST: where a request names its unit, and what its reply says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from serve.experiments.units import UNIT_HEADER
from serve.observe.access_log import REQUEST_ID, SAFE_ID
from serve.rest.middleware import RequestTimings

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

UNIT = UNIT_HEADER.encode()


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
    if chosen is None:
        trial = trials.begin(participants, fields.get(UNIT), unit)
    else:
        request_id = chosen.decode() if SAFE_ID.fullmatch(chosen) else None
        trial = trials.begin(participants, fields.get(UNIT), unit, request_id)
    if timings is not None:
        timings.trial = trial
    return trial
