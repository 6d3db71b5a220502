"""The units that take part in experiments, each of which is decided once and then remembered."""

from enum import Enum
from typing import Final

from serve.experiments.request_ids import RequestIds, number_comparison
from serve.experiments.routing import REPLY_HEADERS, REPLY_PARAMETERS, Route, Treatment
from serve.experiments.units import Unit
from serve.rollout.measuring import ExperimentMetrics, VariantMetrics

EXPERIMENT, VARIANT, _ = REPLY_PARAMETERS
HEADERS = tuple(name.encode() for name in REPLY_HEADERS)
MOST_UNITS = 20_000
"""That are remembered of a model's: some 14 MB where all are long."""
LONGEST = 128
"""Characters of what names a unit that is remembered."""


class Undecided(Enum):
    """Of a unit it is not remembered whether it takes part."""

    UNDECIDED = 0


UNDECIDED: Final = Undecided.UNDECIDED


class Group:
    """Units that get the same treatment, and what all their requests have in common.

    What each request needs stands here by itself: to look it up in the treatment costs a multiple.
    """

    __slots__ = (
        "described",
        "has_mirrors",
        "headers",
        "metrics",
        "model",
        "number",
        "own_start",
        "treatment",
        "version",
    )

    def __init__(self, treatment: Treatment, metrics: VariantMetrics, ids: RequestIds) -> None:
        self.treatment = treatment
        variant, self.model, self.version = treatment.answer
        self.has_mirrors = bool(treatment.mirrors)
        said, hidden = {EXPERIMENT: treatment.experiment, VARIANT: variant}, treatment.hidden
        self.described = said if hidden in ("none", "headers") else None
        """Parameters of all replies; None where they say nothing of the experiment."""
        values = (value.encode() for value in said.values())
        self.headers = tuple(zip(HEADERS, values, strict=False)) if hidden in ("none", "parameters") else ()
        """The headers that say the same; none where they are hidden."""
        self.metrics = metrics
        """Those of the variant that answers."""
        is_enrolled, phase = treatment.is_enrolled, (treatment.experiment, treatment.comparison)
        self.number = number_comparison(*phase) if is_enrolled else 0
        """Of the comparison in request ids; 0 for units that take no part in one."""
        self.own_start = ids.begin(self.number)
        """How the ids begin of requests that are their own units."""


class Participant:
    """A unit in an experiment, and what of it does not change while the phase lasts."""

    __slots__ = ("group", "id_start", "noted", "unit")

    def __init__(self, unit: Unit, group: Group, id_start: str) -> None:
        self.unit = unit
        self.group = group
        self.id_start = id_start
        """How the ids of its requests begin."""
        self.noted = -1
        """How many records were lost when its exposure was noted; -1 before that."""


class Participants:
    """The units of one model in one phase; used by one thread."""

    def __init__(self, route: Route, metrics: ExperimentMetrics, ids: RequestIds) -> None:
        self._route = route
        self._metrics = metrics
        self._ids = ids
        self.targets = tuple({(target.model, target.version) for target in route.targets})
        """Models and versions that may answer one of them."""
        self.known: dict[object, Participant | None] = {}
        """By what names a unit; None for one that takes no part."""
        # By the identities of the route's treatments, which last as long as it does.
        self._groups: dict[int, Group] = {}

    def find(self, header: bytes | str | None, parameter: object, request: str) -> Participant | None:
        """Whoever the request comes from; None if it is in no experiment. See `Route.decide`.

        `request` is the unit's value where no unit is named.
        """
        key = header if parameter is None else (header, parameter) if type(parameter) is str else None
        if key is None:  # none is named, or in a way that could equal another: 1, True and 1.0
            return self._decide(header, parameter, request)
        try:
            return self.known[key]
        except KeyError:
            participant = self._decide(header, parameter, request)
            if len(header or b"") + len(str(parameter)) <= LONGEST:
                self._remember(header, parameter, key, participant)
            return participant

    def find_own(self, request: str) -> Group | None:
        """Whose treatment a request gets that names no unit in any way; None if it is in no experiment."""
        treatment = self._route.decide_by_request(request)
        return None if treatment is None else self._group(treatment)

    def _decide(self, header: bytes | str | None, parameter: object, request: str) -> Participant | None:
        decision = self._route.decide(header, parameter, request)
        if decision is None:
            return None
        unit, treatment = decision
        group = self._group(treatment)
        if unit.kind == "request":
            return Participant(unit, group, group.own_start)
        is_part = group.number > 0
        start = self._ids.begin(group.number, unit.value) if is_part else self._ids.no_part
        return Participant(unit, group, start)

    def _group(self, treatment: Treatment) -> Group:
        group = self._groups.get(id(treatment))
        if group is None:
            metrics = self._metrics.find(treatment.experiment, treatment.answer.variant)
            group = self._groups[id(treatment)] = Group(treatment, metrics, self._ids)
        return group

    def _remember(
        self, header: bytes | str | None, parameter: object, key: object, participant: Participant | None
    ) -> None:
        if self._route.ignores_request(header, parameter):
            if len(self.known) >= MOST_UNITS:
                self.known.clear()
            self.known[key] = participant
