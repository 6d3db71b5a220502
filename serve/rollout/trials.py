"""Requests that belong to an experiment: the doors ask for one, and run it in the model's place."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import inf
from time import perf_counter

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.signature import Array
from serve.experiments.routing import REPLY_PARAMETERS, Route
from serve.experiments.shadow import Mirror, MirrorCounts
from serve.rollout.measuring import ExperimentMetrics
from serve.rollout.participants import Participant, Participants
from serve.rollout.recorder import Recorder
from serve.rollout.sampling import Sampler
from serve.rollout.variants import Outputs, VariantRequest, VariantRuns

EXPERIMENT, VARIANT, REQUEST_ID = REPLY_PARAMETERS


class Trial:
    """One request under an experiment; used once."""

    __slots__ = ("_may_mirror", "_participant", "_request_id", "_trials")

    def __init__(self, trials: "Trials", participant: Participant, request_id: str, may_mirror: bool) -> None:
        self._trials = trials
        self._participant = participant
        self._request_id = request_id
        self._may_mirror = may_mirror

    def describe(self) -> Mapping[str, str]:
        """The reply's parameters by name, whose values are those of `REPLY_HEADERS` too; empty if hidden."""
        treatment = self._participant.treatment
        if treatment.is_hidden:
            return {}
        return {
            EXPERIMENT: treatment.experiment,
            VARIANT: treatment.answer.variant,
            REQUEST_ID: self._request_id,
        }

    def describe_for_traces(self) -> Mapping[str, str]:
        """The span's attributes, also of a hidden experiment."""
        treatment = self._participant.treatment
        return {"adaptact.experiment": treatment.experiment, "adaptact.variant": treatment.answer.variant}

    async def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """What the unit's variant answers; where it fails and the experiment says so, the control's answer.

        Raises like `Engine.run`.
        """
        trials, participant = self._trials, self._participant
        treatment, metrics = participant.treatment, participant.metrics
        target, version = treatment.answer, ""
        is_kept = trials.begin_run(participant)
        start = perf_counter()
        # As `VariantRuns.run`, in the same coroutine: this is the hot path.
        try:
            model = trials.engine.model(target.model, target.version)
            version = model.version
            answer = await trials.engine.run(model, inputs, outputs, timeout_seconds=timeout_seconds)
        except EngineError as error:
            metrics.failed += 1
            if is_kept:
                trials.runs.note(self._describe_run(inputs, outputs), version, start, error)
            if treatment.fallback is None:
                raise
            model = trials.engine.model(treatment.fallback.model, treatment.fallback.version)
            answer = await trials.engine.run(model, inputs, outputs, timeout_seconds=timeout_seconds)
        else:
            metrics.answered.observe(perf_counter() - start)
            if is_kept:
                trials.runs.note(self._describe_run(inputs, outputs), version, start, answer)
        if treatment.mirrors and self._may_mirror:
            trials.mirror(self._describe_run(inputs, outputs), is_kept)
        return answer

    def _describe_run(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> VariantRequest:
        unit, treatment = self._participant.unit, self._participant.treatment
        return VariantRequest(treatment, treatment.answer, unit, self._request_id, inputs, outputs)


class Trials:
    """The experiments of this process."""

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        number_of: Callable[[Exception], int],
        sampler: Sampler | None = None,
    ) -> None:
        """None runs before `follow` says so; `number_of` gives the number by which an error is stored.

        Without a sampler every answer is kept.
        """
        self.engine = engine
        self._recorder = recorder
        self._sampler = sampler or Sampler(inf, inf)
        registry, lost = engine.metrics.registry, recorder.count_lost
        self._metrics = ExperimentMetrics(registry, lambda: self._mirror.counts, lost)
        self.runs = VariantRuns(engine, recorder, self._metrics, number_of)
        self._mirror: Mirror[VariantRequest] = Mirror(self.runs.run)
        self.routes: Mapping[str, Participants] = {}
        """By model whoever takes part in its experiments; replaced as a whole."""
        # Unique among processes and machines, and cheap.
        self._prefix, self._numbers = f"{secrets.token_hex(6)}-", count()

    def follow(self, routes: Mapping[str, Route]) -> None:
        """From now on these experiments run; called when a phase begins, from any thread."""
        self.routes = {model: Participants(route, self._metrics) for model, route in routes.items()}

    def begin(
        self,
        model: str,
        header: bytes | str | None,
        parameter: object,
        request_id: str | None = None,
        may_mirror: bool = True,
    ) -> Trial | None:
        """The trial of a request that names no version; None if it is in no experiment.

        `header` and `parameter` are where its unit may stand; without an id of its own it gets one. It must
        not be mirrored where its inputs may change once it is answered.
        """
        participants = self.routes.get(model)
        if participants is None:
            return None
        request_id = request_id or f"{self._prefix}{next(self._numbers)}"
        participant = participants.find(header, parameter, request_id)
        return None if participant is None else Trial(self, participant, request_id, may_mirror)

    def begin_run(self, participant: Participant) -> bool:
        """Whether the answer that follows is kept; the exposure is noted where it is the unit's first."""
        is_kept = self._sampler.choose()
        if participant.noted != self._recorder.lost and participant.treatment.is_enrolled:
            participant.noted = self._recorder.lost
            # A request that is its own unit is of no use without its answer, and there are as many as these.
            if is_kept or participant.unit.kind != "request":
                self._recorder.expose(participant.treatment, participant.unit)
        return is_kept

    def mirror(self, request: VariantRequest, is_kept: bool) -> None:
        """Let others run the request too, once it is answered."""
        size = sum(array.nbytes for array in request.inputs.values())
        for target in request.treatment.mirrors:
            self._mirror.offer(request._replace(target=target, is_kept=is_kept, is_shadow=True), size)

    @property
    def mirrored(self) -> MirrorCounts:
        """What became of mirrored requests."""
        return self._mirror.counts

    async def close(self) -> None:
        """Mirror nothing more."""
        await self._mirror.close()
