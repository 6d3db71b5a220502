"""The two texts that a dossier is mapped to: what each point asks for, in words of our own."""

from collections.abc import Sequence
from dataclasses import dataclass

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list
from adaptact.languages.spoken import say
from adaptact.report.parts import Table
from convert.dossier.fields import STATUSES, Entry


@dataclass(frozen=True, slots=True)
class Reference:
    """A text, where it can be read, and what was not checked of it."""

    title: str
    source: str
    note: str


ACT = Reference(
    mark(
        "Regulation (EU) 2024/1689 (AI Act), Annex IV: technical documentation referred to in Article 11(1)"
    ),
    "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    mark(
        "This mapping is its makers' reading, in words of their own, and was not compared with the official "
        "text of 13 June 2024, which is at the address above. Whether the text applies depends on the use: "
        "Articles 6 and 11, and Annex III."
    ),
)
GUIDELINES = Reference(
    mark("AI Guidelines for Business (METI, MIC), Part 2, C: the common guiding principles 1) to 10)"),
    "https://www.meti.go.jp/shingikai/mono_info_service/ai_shakai_jisso/20240419_report.html",
    mark(
        "This mapping is its makers' reading of version 1.1 of 28 March 2025, in words of their own, and was "
        "not compared with the official text, neither of that version nor of version 1.2 of 31 March 2026. "
        "The ministries publish it at the address above. The guidelines are not binding."
    ),
)

POINTS: dict[str, str] = {
    "1(a)": mark("purpose, provider, version and its relation to earlier ones"),
    "1(b)": mark("interaction with other hardware and software"),
    "1(c)": mark("versions of software, and what updates require"),
    "1(d)": mark("forms in which it is supplied"),
    "1(e)": mark("hardware it is meant to run on"),
    "1(f)": mark("pictures, where it is a part of a product"),
    "1(g)": mark("user interface for the deployer"),
    "1(h)": mark("instructions for use for the deployer"),
    "2(a)": mark("methods and steps of development, third-party tools"),
    "2(b)": mark("design: logic, choices and their reasons, what is optimised, expected output, trade-offs"),
    "2(c)": mark("architecture, and computing resources used"),
    "2(d)": mark("data: training techniques, data sets, origin, labelling, cleaning"),
    "2(e)": mark("assessment of human oversight"),
    "2(f)": mark("changes foreseen from the start"),
    "2(g)": mark("validation and testing: data, metrics, discriminatory impacts, dated and signed reports"),
    "2(h)": mark("cybersecurity measures"),
    "3": mark("monitoring and control: accuracy, limits, foreseeable risks, oversight, input data"),
    "4": mark("why the performance metrics are appropriate"),
    "5": mark("risk management (Article 9)"),
    "6": mark("changes through the lifecycle"),
    "7": mark("harmonised standards applied, or other solutions"),
    "8": mark("copy of the EU declaration of conformity (Article 47)"),
    "9": mark("post-market monitoring, with its plan (Article 72)"),
}
PRINCIPLES: dict[int, str] = {
    1: mark("Human-centric"),
    2: mark("Safety"),
    3: mark("Fairness"),
    4: mark("Privacy protection"),
    5: mark("Ensuring security"),
    6: mark("Transparency"),
    7: mark("Accountability"),
    8: mark("Education and literacy"),
    9: mark("Ensuring fair competition"),
    10: mark("Innovation"),
}


def tabulate_points(entries: Sequence[Entry]) -> Table:
    """Each point of Annex IV, and the fields of this dossier that speak to it."""
    rows = [
        (point, say(asked), _list_fields([entry for entry in entries if point in entry.points]))
        for point, asked in POINTS.items()
    ]
    return Table(say_all_headers(say("point")), rows)


def tabulate_principles(entries: Sequence[Entry]) -> Table:
    """Each principle of the guidelines, and the fields of this dossier that speak to it."""
    rows = [
        (f"{number})", say(title), _list_fields([entry for entry in entries if number in entry.principles]))
        for number, title in PRINCIPLES.items()
    ]
    return Table(say_all_headers(say("principle")), rows)


def say_all_headers(first: str) -> tuple[str, str, str]:
    """The header of a mapping."""
    return first, say("what it asks for"), say("in this dossier")


def _list_fields(entries: Sequence[Entry]) -> str:
    if not entries:
        return say("nothing in this dossier: to be supplied elsewhere")
    return "\n".join(
        say("{title}: {status}", title=say(entry.title), status=say(STATUSES[entry.status]))
        for entry in entries
    )


def list_open_points(entries: Sequence[Entry]) -> str:
    """The points of Annex IV to which nothing that is filled speaks."""
    filled = {point for entry in entries if entry.status != "missing" for point in entry.points}
    return join_list(point for point in POINTS if point not in filled)
