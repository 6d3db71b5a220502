"""The audit trail in the language of a report; what people wrote stays as it is."""

import re
from dataclasses import dataclass

from serve.client.experiments.words import Language, translate
from serve.experiments.reasons import FILE, read_harms, recognise

_DETAIL = re.compile(
    r"phase (?P<number>\d+), (?P<stage>\w+)(?: at (?P<step>\d+(?:\.\d+)?) %)?(?:: (?P<reason>.*))?"
)


@dataclass(frozen=True, slots=True)
class Trail:
    """Texts of the audit trail in one language."""

    language: Language

    def say(self, word: str) -> str:
        """The word in the language."""
        return translate(self.language, word)

    def name_author(self, by: str) -> str:
        """Who acted."""
        return self.say("by_file") if by == FILE else by

    def name_act(self, act: str) -> str:
        """What was done."""
        return self.say(f"act_{act}").removeprefix("act_")

    def explain(self, reason: str) -> str:
        """Why: the server's own reasons are known, others are people's."""
        known = recognise(reason)
        if known is None:
            return reason
        cause, places = known
        if cause == "harm":
            harms = [
                self.say("harm_of").format(kind=self.say(kind), candidate=candidate)
                for kind, candidate in read_harms(places["harms"])
            ]
            places = {"harms": self.say("separator").join(harms)}
        return self.say(f"reason_{cause}").format(**places)

    def describe(self, detail: str) -> str:
        """The phase that began, and why."""
        found = _DETAIL.fullmatch(detail)
        if found is None:
            return detail
        step = f"{found['step']} %" if found["step"] else ""
        stage = " ".join(part for part in (self.say(found["stage"]), step) if part)
        phase = self.say("phase_detail").format(number=found["number"], stage=stage)
        return phase + (self.say("colon") + self.explain(found["reason"]) if found["reason"] else "")
