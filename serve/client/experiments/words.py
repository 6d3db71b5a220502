"""What a server says in code words, such as stages and verdicts, as people read it."""

from collections.abc import Mapping

from adaptact.languages.catalogue import mark
from adaptact.languages.spoken import say

WORDS: Mapping[str, str] = {
    "better": mark("better"),
    "worse": mark("worse"),
    "equivalent": mark("equivalent"),
    "undecided": mark("undecided"),
    "harmful": mark("harmful"),
    "invalid": mark("invalid"),
    "draft": mark("draft"),
    "shadow": mark("shadow"),
    "ramp": mark("ramp"),
    "paused": mark("paused"),
    "stopped": mark("stopped"),
    "promoted": mark("promoted"),
    "stop": mark("stop"),
    "pause": mark("pause"),
    "error_rate": mark("error rate"),
    "latency": mark("latency"),
    "nan": mark("NaN"),
    "prediction_shift": mark("shift of predictions"),
    "disagreement": mark("disagreement"),
    "define": mark("define"),
    "amend": mark("amend"),
    "start": mark("start"),
    "advance": mark("advance"),
    "resume": mark("resume"),
    "promote": mark("promote"),
}


def name_word(word: str) -> str:
    """The word in the language that is spoken; one that is not known stays as it is."""
    return say(WORDS[word]) if word in WORDS else word
