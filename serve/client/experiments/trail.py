"""The audit trail in the language that is spoken; what people wrote stays as it is."""

import re
from collections.abc import Mapping

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say
from serve.client.experiments.words import name_word
from serve.experiments.reasons import FILE, Cause, read_harms, recognise

_DETAIL = re.compile(
    r"phase (?P<number>\d+), (?P<stage>\w+)(?: at (?P<step>\d+(?:\.\d+)?) %)?(?:: (?P<reason>.*))?"
)
_REASONS: Mapping[Cause, str] = {
    "harm": mark("a guardrail: {harms}"),
    "split": mark("the split is not valid: the shares of units differ from those assigned"),
    "better": mark("the verdict is better"),
    "held": mark("the step has lasted as long as it should, without a sign of harm"),
    "changed": mark("it cannot go on: {change}"),
    "file": mark("definition {digest} of {file}"),
}


def name_author(by: str) -> str:
    """Who acted."""
    return say("the file of experiments") if by == FILE else by


def explain_reason(reason: str) -> str:
    """Why: the server's own reasons are known, others are people's."""
    known = recognise(reason)
    if known is None:
        return reason
    cause, places = known
    if cause == "harm":
        harms = [
            say("{kind} of {candidate}", kind=name_word(kind), candidate=candidate)
            for kind, candidate in read_harms(places["harms"])
        ]
        places = {"harms": join_list(harms)}
    elif cause == "changed":
        places = {"change": retell(places["change"])}
    return say(_REASONS[cause], **places)


def describe_detail(detail: str) -> str:
    """The phase that began, and why."""
    found = _DETAIL.fullmatch(detail)
    if found is None:
        return detail
    step = f"{found['step']} %" if found["step"] else ""
    stage = " ".join(part for part in (name_word(found["stage"]), step) if part)
    phase = say("phase {number}, {stage}", number=found["number"], stage=stage)
    return phase + (say(": ") + explain_reason(found["reason"]) if found["reason"] else "")
