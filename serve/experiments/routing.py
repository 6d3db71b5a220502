"""What an experiment decides about one request: who answers, who is mirrored, what the reply says.

The doors look up `routes.get(model)` for requests that name no version. Without a route, or where `decide`
gives None, a request is answered as if there were no experiment. What a variant means is prepared once for
each phase, so that a request costs two or three hashes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from serve.experiments.assignment import Assigner, count_hashes, hash_value
from serve.experiments.definition import Experiment, HiddenParts, Variant
from serve.experiments.stages import RUNNING, Phase
from serve.experiments.units import Unit, read_unit

REPLY_PARAMETERS = ("adaptact_experiment", "adaptact_variant", "adaptact_request_id")
"""The parameters of a reply that say what was decided."""
REPLY_HEADERS = ("x-adaptact-experiment", "x-adaptact-variant", "x-adaptact-request-id")
"""The headers of HTTP, and the trailing metadata of gRPC, that say the same."""


class Target(NamedTuple):
    """What runs for a variant."""

    variant: str
    model: str
    version: str | None
    """The number of the version that is pinned; where none is, as the experiment defines it."""


class Treatment(NamedTuple):
    """What is done with every request of the units that get the same variant in the same phase."""

    experiment: str
    comparison: int
    phase: int
    answer: Target
    """What the client is answered by."""
    mirrors: tuple[Target, ...]
    """What runs the same inputs while no client waits for it; its outputs are only compared."""
    fallback: Target | None
    """What answers where `answer` fails, which is counted all the same; None for the error itself."""
    is_enrolled: bool
    """Whether the unit takes part in the comparison of outcomes: its requests are exposures."""
    is_forced: bool
    """Whether the allow-list chose the variant."""
    hidden: HiddenParts
    """Where the reply says nothing of it."""
    log_share: float = 0.0
    """Of the kept answers, those that are stored with their inputs."""


class Decision(NamedTuple):
    """What is done with a request that belongs to an experiment."""

    unit: Unit
    treatment: Treatment


class Route:
    """The running experiments on one model."""

    def __init__(self, running: Iterable[tuple[Experiment, Phase]]) -> None:
        ordered = sorted(running, key=lambda pair: pair[0].name)
        self._choices = [
            (experiment.unit_sources, _Choice(experiment, phase)) for experiment, phase in ordered
        ]
        self._by_request = [choice for sources, choice in self._choices if "request" in sources]

    def decide(self, header: bytes | str | None, parameter: object, request_id: str) -> Decision | None:
        """The decision, given the request's header and parameter with a unit; None if it is in no experiment.

        At most one experiment decides: those on one model enrol separate ranges of units. Where several
        allow-lists name a unit, the experiment decides that is first by its name.
        """
        for sources, choice in self._choices:
            unit = read_unit(sources, header, parameter, request_id)
            treatment = choice.choose(unit.value) if unit else None
            if unit and treatment:
                return Decision(unit, treatment)
        return None

    def decide_by_request(self, request_id: str) -> Treatment | None:
        """As `decide` of a request that names no unit in any way, in half the time: it is its own unit."""
        for choice in self._by_request:
            treatment = choice.choose(request_id)
            if treatment is not None:
                return treatment
        return None

    @property
    def targets(self) -> Iterator[Target]:
        """What may answer a request: each variant's."""
        for _, choice in self._choices:
            yield from choice.targets

    def ignores_request(self, header: bytes | str | None, parameter: object) -> bool:
        """Whether `decide` decides the same for every request with this header and parameter."""
        units = (read_unit(sources, header, parameter, "") for sources, _ in self._choices)
        return all(unit is None or unit.kind != "request" for unit in units)


def make_routes(experiments: Iterable[tuple[Experiment, Phase]]) -> Mapping[str, Route]:
    """The route of each model that has an experiment in shadow or on the ramp."""
    by_model: dict[str, list[tuple[Experiment, Phase]]] = {}
    for experiment, phase in experiments:
        if phase.stage in RUNNING:
            by_model.setdefault(experiment.model, []).append((experiment, phase))
    return {model: Route(running) for model, running in by_model.items()}


class _Choice:
    """Which treatment of one experiment a unit gets in one phase."""

    def __init__(self, experiment: Experiment, phase: Phase) -> None:
        is_shadow = phase.stage == "shadow"
        # In shadow all of the experiment's range may be mirrored, of which a share is.
        self._assigner = Assigner(experiment, 100.0 if is_shadow else phase.step_percent)
        self._allow_list = experiment.allow_list
        self._salt = f"shadow/{experiment.name}"
        self._mirrored = count_hashes(100 * experiment.stages.shadow_share)
        self._shadow = _make_shadow(experiment, phase) if is_shadow else None
        self._forced = _make_treatments(experiment, phase, is_forced=True)
        self._enrolled = _make_treatments(experiment, phase, is_forced=False)

    @property
    def targets(self) -> Iterator[Target]:
        """What runs for each variant."""
        return (treatment.answer for treatment in self._forced.values())

    def choose(self, value: str) -> Treatment | None:
        """The treatment of the unit with this value; None for one that takes no part."""
        allowed = self._allow_list.get(value)
        if allowed is not None:
            return self._forced[allowed]
        variant = self._assigner.enrol(value)
        if variant is None:
            return None
        if self._shadow:
            return self._shadow if hash_value(self._salt, value) < self._mirrored else None
        return self._enrolled[variant]


def _make_shadow(experiment: Experiment, phase: Phase) -> Treatment:
    """The control answers, every candidate is mirrored."""
    treatment = _make_treatment(experiment, phase, experiment.control)
    return treatment._replace(
        mirrors=tuple(find_target(experiment, phase, each) for each in experiment.candidates)
    )


def _make_treatments(experiment: Experiment, phase: Phase, *, is_forced: bool) -> dict[str, Treatment]:
    """The treatment of each variant, which answers itself."""
    control = find_target(experiment, phase, experiment.control)
    treatments = {}
    for variant in experiment.variants:
        is_candidate = variant is not experiment.control
        needs_score = is_candidate and not is_forced and experiment.needs_shadow_score
        treatments[variant.name] = _make_treatment(experiment, phase, variant)._replace(
            mirrors=(control,) if needs_score else (),
            fallback=control if is_candidate and experiment.on_error == "control" else None,
            is_enrolled=not is_forced,
            is_forced=is_forced,
        )
    return treatments


def _make_treatment(experiment: Experiment, phase: Phase, answer: Variant) -> Treatment:
    """What all treatments begin with: the variant answers, nothing else runs."""
    return Treatment(
        experiment=experiment.name,
        comparison=phase.comparison,
        phase=phase.number,
        answer=find_target(experiment, phase, answer),
        mirrors=(),
        fallback=None,
        is_enrolled=False,
        is_forced=False,
        hidden=experiment.hide_from_replies,
        log_share=experiment.log.share if experiment.log else 0.0,
    )


def find_target(experiment: Experiment, phase: Phase, variant: Variant) -> Target:
    """What runs for the variant in this phase."""
    pin = phase.pins.get(variant.name)
    if pin is None:
        return Target(variant.name, experiment.model_of(variant), variant.version)
    return Target(variant.name, pin.model, pin.version)
