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
    """A text, where it can be read, and what it was compared with."""

    title: str
    source: str
    note: str


ACT = Reference(
    mark(
        "Regulation (EU) 2024/1689 (AI Act), Annex IV: technical documentation referred to in Article 11(1)"
    ),
    "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    mark(
        "This mapping is its makers' reading, in words of their own. Each row was compared with the wording "
        "of Annex IV as two verbatim copies of it give it, which agree, but not with the Official Journal "
        "itself, which is at the address above, nor with Regulation (EU) 2026/1744, which has amended the "
        "Act since. Whether the text applies depends on the use: Articles 6 and 11, Annexes I and III."
    ),
)
GUIDELINES = Reference(
    mark("AI Guidelines for Business (METI, MIC), Part 2, C: the common guiding principles 1) to 10)"),
    "https://www.meti.go.jp/shingikai/mono_info_service/ai_shakai_jisso/20240419_report.html",
    mark(
        "This mapping is its makers' reading, in words of their own. Safety, fairness, transparency and "
        "accountability were compared with passages of version 1.2 of 31 March 2026, in a copy of it; the "
        "other rows were not compared with the official text. The ministries publish it at the address "
        "above. The guidelines are not binding."
    ),
)

POINTS: dict[str, str] = {
    "1(a)": mark("intended purpose, name of the provider, version and its relation to earlier ones"),
    "1(b)": mark("interaction with hardware and software outside it, also with other AI systems"),
    "1(c)": mark("versions of software and firmware, and what updates require"),
    "1(d)": mark("all forms in which it is supplied: embedded, as downloads, as APIs"),
    "1(e)": mark("hardware it is meant to run on"),
    "1(f)": mark("photographs or illustrations, where it is a component of products"),
    "1(g)": mark("basic description of the user interface for the deployer"),
    "1(h)": mark("instructions for use for the deployer"),
    "2(a)": mark("methods and steps of development, pre-trained systems and tools of third parties"),
    "2(b)": mark(
        "design: general logic, choices and their reasons, for which persons, classification, what is "
        "optimised, expected output and its quality, trade-offs"
    ),
    "2(c)": mark("architecture: how software components build on each other; computing resources"),
    "2(d)": mark("data: training techniques, data sets, origin, selection, labelling, cleaning"),
    "2(e)": mark("assessment of human oversight (Article 14), and of what helps to interpret outputs"),
    "2(f)": mark("changes determined from the start, and how compliance continues"),
    "2(g)": mark(
        "validation and testing: data, metrics of accuracy and robustness, discriminatory impacts, logs, "
        "dated and signed reports"
    ),
    "2(h)": mark("cybersecurity measures"),
    "3": mark(
        "monitoring, functioning and control: capabilities and limits, accuracy for groups of persons, "
        "foreseeable unintended outcomes, oversight, input data"
    ),
    "4": mark("why the performance metrics are appropriate"),
    "5": mark("risk management (Article 9)"),
    "6": mark("relevant changes by the provider through the lifecycle"),
    "7": mark("harmonised standards applied, or the solutions adopted in their place"),
    "8": mark("copy of the EU declaration of conformity (Article 47)"),
    "9": mark("evaluation of the performance after release (Article 72), with the plan of Article 72(3)"),
}
PRINCIPLES: dict[int, str] = {
    1: mark("Human-centric: human rights, false information, inclusion, help for users, sustainability"),
    2: mark("Safety: no harm to life, body, property, mind and environment; proper use; proper learning"),
    3: mark("Fairness: bias in each part of the model; human judgement"),
    4: mark("Privacy protection"),
    5: mark("Ensuring security"),
    6: mark("Transparency: what can be verified, told to stakeholders and explained, within reason"),
    7: mark("Accountability: origin of data and decisions traced, how the principles are followed"),
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
