"""What people do with experiments: define, start, pause, stop and promote them, and read what they show."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from adaptact.languages.catalogue import Language
from serve.engine.engine import Engine
from serve.engine.errors import quote
from serve.engine.model import ServedModel
from serve.engine.signature import TensorSpec
from serve.experiments import stages
from serve.experiments.compatibility import (
    SignatureDescription,
    TensorDescription,
    require_compatible,
)
from serve.experiments.definition import Experiment, Variant
from serve.experiments.errors import DefinitionError, Mistake, UnfitVariantsError
from serve.experiments.evidence import read_evidence
from serve.experiments.parsing import parse_experiment
from serve.experiments.results import write_results
from serve.experiments.stages import Act, Change, Phase
from serve.experiments.store.database import now
from serve.experiments.store.registry import AuditEntry, Registered, Registry
from serve.experiments.store.summaries import Summaries
from serve.experiments.verdicts import judge
from serve.rollout import pinning
from serve.rollout.expense import measure_expense
from serve.rollout.planning import GuardrailStatements

LEADS_TO_RUNNING: tuple[Act, ...] = ("start", "advance", "resume")


class Administration:
    """The experiments of a store, as this server's models can run them. Every method may raise `StoreError`.

    Its methods wait for the store, so they do not belong on an event loop.
    """

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        summaries: Summaries,
        on_change: Callable[[], None],
        clock: Callable[[], int] = now,
    ) -> None:
        """`on_change` is called after each change."""
        self._engine = engine
        self._registry = registry
        self._summaries = summaries
        self._on_change = on_change
        self._clock = clock
        self._statements = GuardrailStatements(clock)

    def read_all(self) -> tuple[Registered, ...]:
        """Every experiment, by name."""
        return self._registry.read_all()

    def read(self, name: str) -> Registered:
        """The experiment; raises `UnknownExperimentError`."""
        return self._registry.read(name)

    def read_phases(self, name: str) -> tuple[Phase, ...]:
        """Its phases, the first one first; raises `UnknownExperimentError`."""
        return self._registry.read_phases(name)

    def read_audit(self, name: str, most: int = 1000) -> tuple[AuditEntry, ...]:
        """Who changed it, the newest entry first."""
        return self._registry.read_audit(name, most)

    def define(self, name: str, document: object, by: str, reason: str = "") -> Registered:
        """The experiment of this name as the document defines it: a draft if it is new, else amended.

        Raises `DefinitionError`, also where it runs and would have units in common with another that does,
        `IncompatibleVariantsError`, `UnknownModelError` or `ModelUnavailableError`, and `StageError` where
        its stage allows no change, or `UnfitVariantsError` where it runs and could not.
        """
        experiment = parse_experiment(document)
        if experiment.name != name:
            expected = f"{quote(name)}, the name in the path"
            raise DefinitionError([Mistake("name", expected, quote(experiment.name))])
        self._require_models(experiment)
        prepare = partial(pinning.prepare, self._engine)
        registered = self._registry.define(experiment, Change(self._clock(), by, reason), prepare)
        self._on_change()
        return registered

    def act(self, name: str, act: Act, by: str, reason: str = "", candidate: str = "") -> Registered:
        """The experiment after the act; `candidate` is the one to promote, by default the only one.

        Raises `UnknownExperimentError`, `StageError`, `IncompatibleVariantsError`, `UnfitVariantsError`, or
        `DefinitionError` where another experiment that runs has the same units.
        """
        change = Change(self._clock(), by, reason)
        decide = partial(self._decide, act=act, change=change, candidate=candidate)
        registered = self._registry.act(name, act, change, decide)
        self._on_change()
        return registered

    def read_results(self, name: str, language: Language = "en") -> dict[str, Any]:
        """What the experiment shows now; raises `UnknownExperimentError`.

        It does not count as a look, unless it is the only one, at a fixed horizon.
        """
        registered = self._registry.read(name)
        experiment, phase = registered.experiment, registered.phase
        memory = self._registry.read_memory(name, phase.comparison)
        expenses = measure_expense(self._engine, experiment, phase)
        known = read_evidence(self._summaries, experiment, phase, memory, self._clock(), expenses)
        verdict = judge(experiment, known.evidence)
        stated = self._statements.state(registered, known.evidence)
        results = write_results(experiment, known.evidence.observations, verdict, language, stated)
        if experiment.fixed_horizon and verdict.memory.histories.keys() != memory.histories.keys():
            content = {"memory": verdict.memory.as_json(), "results": results}
            self._registry.keep_look(name, phase.comparison, self._clock(), content)
        exposures = {variant: found.units for variant, found in known.evidence.observations.items()}
        versions = {name: pin._asdict() for name, pin in phase.pins.items()}
        return results | {"exposures": exposures, "phase": phase.number, "versions": versions}

    def read_looks(self, name: str, most: int = 200) -> list[tuple[int, dict[str, Any]]]:
        """What looks spread over the present comparison have shown, and when (microseconds since 1970)."""
        phase = self._registry.read(name).phase
        looks = self._registry.read_looks_over_time(name, phase.comparison, most)
        return [(at, content["results"]) for at, content in looks]

    def _decide(
        self, experiment: Experiment, phase: Phase, *, act: Act, change: Change, candidate: str
    ) -> Phase:
        if act == "promote":
            candidate = candidate or experiment.candidates[0].name
        if act == "start" or (act in LEADS_TO_RUNNING and not phase.pins):
            self._require_models(experiment)
        after = stages.take(act, experiment, phase, change, candidate)
        if after.promoted is not None:
            self._require_served(experiment, after)
        return pinning.prepare(self._engine, experiment, after)

    def _require_served(self, experiment: Experiment, phase: Phase) -> None:
        """What is promoted can answer; raises `UnfitVariantsError`."""
        winner = phase.promoted or ""
        pin = phase.pins.get(winner)
        lost = None if pin is None else pinning.find_loss(self._engine, winner, pin)
        if lost is not None:
            raise UnfitVariantsError(f"experiment {quote(experiment.name)} cannot promote: {lost}")

    def _require_models(self, experiment: Experiment) -> None:
        """Every variant can stand in for the control; raises `EngineError` where one cannot."""
        control = _describe(self._find(experiment, experiment.control))
        for candidate in experiment.candidates:
            require_compatible(control, _describe(self._find(experiment, candidate)))

    def _find(self, experiment: Experiment, variant: Variant) -> ServedModel:
        return self._engine.memory.require(experiment.model_of(variant), variant.version)


def _describe(model: ServedModel) -> SignatureDescription:
    signature = model.signature
    return SignatureDescription(_describe_all(signature.inputs), _describe_all(signature.outputs))


def _describe_all(specs: Sequence[TensorSpec]) -> tuple[TensorDescription, ...]:
    return tuple(
        TensorDescription(
            spec.name,
            spec.datatype.name,
            tuple(size if isinstance(size, int) else None for size in spec.shape),
        )
        for spec in specs
    )
