"""Requests that belong to an experiment: the doors ask for one, and run it in the model's place."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from random import random
from time import perf_counter, time_ns

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, ModelUnloadedError
from serve.engine.model import ServedModel
from serve.engine.sampling import Sampler
from serve.engine.signature import Array
from serve.experiments.request_ids import RequestIds
from serve.experiments.routing import REPLY_PARAMETERS, Route
from serve.experiments.shadow import Mirror, MirrorCounts
from serve.experiments.units import Unit
from serve.rollout.measuring import ExperimentMetrics
from serve.rollout.participants import HEADERS, UNDECIDED, Group, Participant, Participants
from serve.rollout.recorder import LoggedAnswer, Recorder
from serve.rollout.variants import InputReader, Outputs, VariantRequest, VariantRuns

REQUEST_ID = REPLY_PARAMETERS[-1]
NO_UNIT = Unit("request", "")
"""That of a request which is its own, and of which nothing is noted."""


class Trial:
    """One request under an experiment; used once."""

    __slots__ = (
        "_answer",
        "_began",
        "_group",
        "_is_kept",
        "_request",
        "_took",
        "_trials",
        "_unit",
        "model",
        "reader",
        "request_id",
    )
    _began: float
    """By `perf_counter`, when the run began; `_took` is its seconds, once it has answered."""

    def __init__(self, trials: "Trials", group: Group, unit: Unit, request_id: str, is_kept: bool) -> None:
        self._trials = trials
        self._group = group
        self._unit = unit
        self.request_id = request_id
        """By which feedback names the request."""
        self._is_kept = is_kept
        self.reader: InputReader | None = None
        """What reads each model's inputs, where their descriptions may differ."""
        self.model: ServedModel | None = None
        """What has answered, once it has."""
        self._answer: Outputs | None = None
        """The variant's, until it is known to have failed."""

    def find_model(self) -> ServedModel | None:
        """The unit's variant; None if it does not answer now."""
        group = self._group
        try:
            return self._trials.engine.model(group.model, group.version)
        except EngineError:
            return None

    def describe(self) -> Mapping[str, str]:
        """The reply's parameters by name; none if they are hidden."""
        described = self._group.described
        return {} if described is None else {**described, REQUEST_ID: self.request_id}

    def describe_in_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The same as headers, of which the last is the request's id; none if they are hidden."""
        headers = self._group.headers
        return (*headers, (HEADERS[-1], self.request_id.encode())) if headers else ()

    def describe_for_traces(self) -> Mapping[str, str]:
        """The span's attributes, also of a hidden experiment."""
        treatment = self._group.treatment
        return {
            "adaptact.experiment": treatment.experiment,
            "adaptact.variant": treatment.answer.variant,
            "adaptact.experiment_request_id": self.request_id,
        }

    async def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """What the unit's variant answers; where it fails and the experiment says so, the control's answer.

        Raises like `Engine.run`; the error says whose it is.
        """
        group, engine = self._group, self._trials.engine
        self._request = inputs, outputs
        self._began = perf_counter()
        # Not by `VariantRuns.run`: its coroutine and request were measured at 0.4 microseconds, a quarter of
        # what a whole trial takes.
        try:
            self.model = model = engine.model(group.model, group.version)
            if self.reader is not None:
                inputs = await self.reader.read_inputs(model)
                self._request, self._began = (inputs, outputs), perf_counter()
            answer = await engine.run(model, inputs, outputs, timeout_seconds=timeout_seconds)
        except EngineError as error:
            self.fail(error)
            return await self.run_control(inputs, outputs, timeout_seconds=timeout_seconds)
        self._took = perf_counter() - self._began
        self._answer = answer
        return answer

    def fail(self, error: EngineError) -> None:
        """The variant has failed, or no reply can hold its answer: the control is to answer.

        Raises the error, which says whose it is, where the experiment does not want that.
        """
        group, answer = self._group, self._answer
        self._answer = None
        group.metrics.failed += 1
        if isinstance(error, ModelUnloadedError):
            self._trials.engine.memory.wanted.add(group.model)
        if self._is_kept:
            version = "" if self.model is None else self.model.version
            took = perf_counter() - self._began
            self._trials.runs.note(self._describe_run(), version, took, answer, error)
        if group.treatment.fallback is None:
            raise self._sign(error)

    async def run_control(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """What the control answers where the variant has failed; raises like `Engine.run`."""
        fallback, engine = self._group.treatment.fallback, self._trials.engine
        assert fallback is not None
        try:
            self.model = engine.model(fallback.model, fallback.version)
            if self.reader is not None:
                inputs = await self.reader.read_inputs(self.model)
            return await engine.run(self.model, inputs, outputs, timeout_seconds=timeout_seconds)
        except EngineError as error:
            raise self._sign(error) from None

    def finish(self, *, may_have_changed: bool = False) -> None:
        """The reply is made: the answer counts, and others run the request too.

        They do not where its inputs may be others by now. A mirrored run begins when the event loop is next
        free, so what is written meanwhile goes first.
        """
        group, answer = self._group, self._answer
        if answer is not None:
            group.metrics.answered.observe(self._took)
            if self._is_kept and self.model is not None:
                request, version = self._describe_run(), self.model.version
                self._trials.runs.note(request, version, self._took, answer)
                self._trials.log(request, version, answer)
        if group.has_mirrors and not may_have_changed:
            self._trials.mirror(self._describe_run())

    def _sign(self, error: EngineError) -> EngineError:
        """The error, whose reply says whose it is."""
        error.reply_parameters, error.reply_headers = self.describe(), self.describe_in_headers()
        return error

    def _describe_run(self) -> VariantRequest:
        treatment = self._group.treatment
        about = treatment, treatment.answer, self._unit, self.request_id
        return VariantRequest(*about, *self._request, self._is_kept, reader=self.reader)


class Trials:
    """The experiments of this process."""

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        ids: RequestIds,
        number_of: Callable[[Exception], int],
        sampler: Sampler | None = None,
    ) -> None:
        """None runs before `follow` says so; `number_of` gives the number by which an error is stored.

        Without a sampler every answer is kept.
        """
        self.engine = engine
        self._recorder = recorder
        self._ids = ids
        self._sampler = sampler or Sampler(inf, inf)
        registry, lost = engine.metrics.registry, recorder.count_lost
        self.metrics = ExperimentMetrics(registry, lambda: self._mirror.counts, lost)
        self.runs = VariantRuns(engine, recorder, self.metrics, number_of)
        self._mirror: Mirror[VariantRequest] = Mirror(self.runs.run)
        self.routes: Mapping[str, Participants] = {}
        """By model whoever takes part in its experiments; replaced as a whole."""

    def list_models(self) -> set[str]:
        """The names of the models that experiments need now."""
        targets = (target for participants in self.routes.values() for target in participants.targets)
        return {*self.routes, *(name for name, _ in targets)}

    def follow(self, routes: Mapping[str, Route]) -> None:
        """From now on these experiments run; called when a phase begins, from any thread."""
        self.routes = {model: Participants(route, self.metrics, self._ids) for model, route in routes.items()}

    def begin(
        self,
        participants: Participants,
        header: bytes | str | None,
        parameter: object,
        chosen: str | None = None,
    ) -> Trial | None:
        """The trial of a request that runs now; None if it is in no experiment.

        `participants` are its model's in `routes`; `header` and `parameter` are where its unit may stand. A
        request without a `chosen` id gets one.
        """
        end = next(self._ids.ends)
        if header is None and parameter is None:
            return self._begin_own(participants, chosen, end)
        participant = participants.known.get(header, UNDECIDED) if parameter is None else UNDECIDED
        if participant is UNDECIDED:
            participant = participants.find(header, parameter, chosen or end)
        if participant is None:
            return None
        sampler = self._sampler
        if sampler.to_pass > 0:
            sampler.to_pass -= 1
            is_kept = False
        else:
            is_kept = sampler.choose()
        start = participant.id_start
        if participant.noted != self._recorder.lost:
            start = self._meet(participant, is_kept)
        return Trial(self, participant.group, participant.unit, chosen or start + end, is_kept)

    def _begin_own(self, participants: Participants, chosen: str | None, end: str) -> Trial | None:
        """The trial of a request that is its own unit."""
        value = chosen or end
        group = participants.find_own(value)
        if group is None:
            return None
        if not self._sampler.choose():
            # There are as many of these as requests: those whose answers are not kept take no part.
            return Trial(self, group, NO_UNIT, chosen or self._ids.no_part + end, False)
        unit = Unit("request", value)
        if group.treatment.is_enrolled:
            self._recorder.expose(group.treatment, unit)
        return Trial(self, group, unit, chosen or group.own_start + end, True)

    def _meet(self, participant: Participant, is_kept: bool) -> str:
        """How the id begins of a request whose unit's exposure is not noted yet; it is from now on."""
        participant.noted = self._recorder.lost
        treatment = participant.group.treatment
        if participant.unit.kind == "request" and not is_kept:
            return self._ids.no_part
        if treatment.is_enrolled:
            self._recorder.expose(treatment, participant.unit)
        return participant.id_start

    def log(self, request: VariantRequest, version: str, answer: Outputs) -> None:
        """Keep what was asked and answered, if the experiment wants this share of it."""
        if random() < request.treatment.log_share:
            about = request.treatment, request.target, version, request.unit.kind, request.request_id
            self._recorder.log(LoggedAnswer(*about, time_ns() // 1000, request.inputs, answer))

    def mirror(self, request: VariantRequest) -> None:
        """Let others run the request too, once it is answered."""
        size = sum(array.nbytes for array in request.inputs.values())
        if request.reader is not None:
            size += request.reader.size_bytes
        for target in request.treatment.mirrors:
            self._mirror.offer(request._replace(target=target, is_shadow=True), size)

    @property
    def mirrored(self) -> MirrorCounts:
        """What became of mirrored requests."""
        return self._mirror.counts

    async def start(self) -> None:
        """Requests may come from now on."""

    async def stop(self, grace_seconds: float) -> None:
        """Mirror nothing more, and let what runs end within so many seconds."""
        await self._mirror.close(grace_seconds)
