"""Requests that belong to an experiment: the doors ask for one, and run it in the model's place."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.signature import Array
from serve.experiments.routing import REPLY_PARAMETERS, Decision, Route, describe_reply
from serve.experiments.shadow import Mirror, MirrorCounts
from serve.rollout.recorder import Recorder
from serve.rollout.variants import Outputs, VariantRequest, VariantRuns

NO_ROUTES: Mapping[str, Route] = MappingProxyType({})


class Trial:
    """One request under an experiment; used once."""

    def __init__(self, trials: "Trials", decision: Decision, request_id: str, may_mirror: bool) -> None:
        self._trials = trials
        self._decision = decision
        self._request_id = request_id
        self._may_mirror = may_mirror

    def describe(self) -> Mapping[str, str]:
        """The reply's parameters by name, whose values are those of `REPLY_HEADERS` too; empty if hidden."""
        described = describe_reply(self._decision, self._request_id)
        return dict(zip(REPLY_PARAMETERS, described, strict=True)) if described else {}

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
        answer = await self._trials.run(request, timeout_seconds)
        if self._may_mirror and treatment.mirrors:
            self._trials.mirror(request)
        return answer


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
        self,
        model: str,
        header: bytes | str | None,
        parameter: object,
        request_id: str | None = None,
        *,
        may_mirror: bool = True,
    ) -> Trial | None:
        """The trial of a request that names no version; None if it is in no experiment.

        `header` and `parameter` are where its unit may stand; without an id of its own it gets one. It must
        not be mirrored where its inputs may change once it is answered.
        """
        route = self.routes.get(model)
        if route is None:
            return None
        request_id = request_id or f"{self._prefix}-{next(self._numbers):x}"
        decision = route.decide(header, parameter, request_id)
        return None if decision is None else Trial(self, decision, request_id, may_mirror)

    async def run(self, request: VariantRequest, timeout_seconds: float | None) -> Outputs:
        """The variant's answer, or the fallback's."""
        try:
            return await self._runs.run(request, timeout_seconds)
        except EngineError:
            fallback = request.treatment.fallback
            if fallback is None:
                raise
            model = self._engine.model(fallback.model, fallback.version)
            return await self._engine.run(
                model, request.inputs, request.outputs, timeout_seconds=timeout_seconds
            )

    def mirror(self, request: VariantRequest) -> None:
        """Let others run the request too, once it is answered."""
        size = sum(array.nbytes for array in request.inputs.values())
        for target in request.treatment.mirrors:
            self._mirror.offer(request._replace(target=target, is_shadow=True), size)

    @property
    def mirrored(self) -> MirrorCounts:
        """What became of mirrored requests."""
        return self._mirror.counts

    async def close(self) -> None:
        """Mirror nothing more."""
        await self._mirror.close()
