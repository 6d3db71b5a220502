"""The units that take part in experiments, each of which is decided once and then remembered."""

from serve.experiments.routing import Decision, Route
from serve.rollout.measuring import ExperimentMetrics, VariantMetrics

MOST_UNITS = 20_000
"""That are remembered of a model's: some 10 MB where all are long."""
LONGEST = 128
"""Characters of what names a unit that is remembered."""


class Participant:
    """A unit in an experiment, and what of it does not change while the phase lasts."""

    __slots__ = ("metrics", "noted", "treatment", "unit")

    def __init__(self, decision: Decision, metrics: VariantMetrics) -> None:
        self.unit, self.treatment = decision
        self.metrics = metrics
        """Those of the variant that answers it."""
        self.noted = -1
        """How many records were lost when its exposure was noted; -1 before that."""


class Participants:
    """The units of one model in one phase; used by one thread."""

    def __init__(self, route: Route, metrics: ExperimentMetrics) -> None:
        self._route = route
        self._metrics = metrics
        self._known: dict[object, Participant | None] = {}

    def find(self, header: bytes | str | None, parameter: object, request_id: str) -> Participant | None:
        """Whoever the request comes from; None if it is in no experiment. See `Route.decide`."""
        key = header if parameter is None else (header, parameter) if type(parameter) is str else None
        if key is None:  # none is named, or in a way that could equal another: 1, True and 1.0
            return self._decide(header, parameter, request_id, None)
        try:
            return self._known[key]
        except KeyError:
            return self._decide(header, parameter, request_id, key)

    def _decide(
        self, header: bytes | str | None, parameter: object, request_id: str, key: object
    ) -> Participant | None:
        decision = self._route.decide(header, parameter, request_id)
        participant = None
        if decision is not None:
            treatment = decision.treatment
            metrics = self._metrics.find(treatment.experiment, treatment.answer.variant)
            participant = Participant(decision, metrics)
        if key is not None and len(header or b"") + len(str(parameter)) <= LONGEST:
            self._remember(header, parameter, key, participant)
        return participant

    def _remember(
        self, header: bytes | str | None, parameter: object, key: object, participant: Participant | None
    ) -> None:
        if self._route.ignores_request(header, parameter):
            if len(self._known) >= MOST_UNITS:
                self._known.clear()
            self._known[key] = participant
