"""Requests that belong to an experiment: the doors ask for one, and run it in the model's place."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.experiments.routing import Decision, Route, describe_reply
from serve.experiments.shadow import Mirror, MirrorCounts
from serve.rollout.recorder import Recorder
from serve.rollout.variants import Outputs, VariantRequest, VariantRuns

NO_ROUTES: Mapping[str, Route] = MappingProxyType({})


class Trial:
    """One request under an experiment; used once."""

    def __init__(self, trials: "Trials", decision: Decision, request_id: str) -> None:
        self._trials = trials
        self._decision = decision
        self._request_id = request_id

    def find_model(self) -> ServedModel:
        """The model that answers; raises `UnknownModelError` or `ModelUnavailableError`."""
        return self._trials.find_model(self._decision)

    def describe(self) -> tuple[str, str, str] | None:
        """The values of `REPLY_PARAMETERS` and `REPLY_HEADERS`; None where the reply is to say nothing."""
        return describe_reply(self._decision, self._request_id)

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
        unit, treatment = self._decision
        request = VariantRequest(treatment, treatment.answer, unit, self._request_id, inputs, outputs)
        return await self._trials.run(request, timeout_seconds)


class Trials:
    """The experiments of this process."""

    def __init__(self, engine: Engine, recorder: Recorder, number_of: Callable[[Exception], int]) -> None:
        """None runs before `routes` says so; `number_of` gives the number by which an error is stored."""
        self.routes = NO_ROUTES
        """By model; replaced as a whole when a phase begins."""
        self._engine = engine
        self._runs = VariantRuns(engine, recorder, number_of)
        self._mirror = Mirror(self._runs.run)
        # Unique among processes and machines, and cheap.
        self._prefix, self._numbers = secrets.token_hex(6), count()

    def begin(
        self, model: str, header: bytes | str | None, parameter: object, request_id: str | None
    ) -> Trial | None:
        """The trial of a request that names no version; None if it is in no experiment.

        `header` and `parameter` are where its unit may stand; without an id of its own it gets one.
        """
        route = self.routes.get(model)
        if route is None:
            return None
        request_id = request_id or f"{self._prefix}-{next(self._numbers):x}"
        decision = route.decide(header, parameter, request_id)
        return None if decision is None else Trial(self, decision, request_id)

    def find_model(self, decision: Decision) -> ServedModel:
        """The model that answers; raises `UnknownModelError` or `ModelUnavailableError`."""
        target = decision.treatment.answer
        return self._engine.model(target.model, target.version)

    async def run(self, request: VariantRequest, timeout_seconds: float | None) -> Outputs:
        """The variant's answer, or the fallback's; what is to be mirrored is, once this has been answered."""
        treatment = request.treatment
        try:
            answer = await self._runs.run(request, timeout_seconds)
        except EngineError:
            fallback = treatment.fallback
            if fallback is None:
                raise
            model = self._engine.model(fallback.model, fallback.version)
            return await self._engine.run(
                model, request.inputs, request.outputs, timeout_seconds=timeout_seconds
            )
        for target in treatment.mirrors:
            size = sum(array.nbytes for array in request.inputs.values())
            self._mirror.offer(request._replace(target=target, is_shadow=True), size)
        return answer

    @property
    def mirrored(self) -> MirrorCounts:
        """What became of mirrored requests."""
        return self._mirror.counts

    async def close(self) -> None:
        """Mirror nothing more."""
        await self._mirror.close()
