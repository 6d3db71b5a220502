"""`ModelInfer` and the messages of `ModelStreamInfer`: the hot path."""

from asyncio import CancelledError
from time import perf_counter

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.grpc.call import Call
from serve.grpc.errors import OK, number_of
from serve.grpc.parse import parse
from serve.grpc.tensors import read_infer, write_infer
from serve.grpc.wire import Message, message_class
from serve.rejections import count_rejection

Request = message_class("inference.ModelInferRequest")


class Inference:
    """Answers inference requests: read, call the engine, write."""

    def __init__(self, engine: Engine) -> None:
        """Answer for this engine."""
        self._engine = engine

    def read(self, data: bytes) -> Message:
        """The message; raises `MalformedRequestError` for bytes that are none, which count as a request."""
        try:
            return parse(Request, data)
        except EngineError as error:
            self._engine.metrics.unknown.count_request(number_of(error))
            raise

    async def answer(self, message: Message, call: Call) -> Message:
        """The answer to a `ModelInferRequest`; raises `EngineError`."""
        metrics = self._engine.metrics.unknown
        try:
            start = perf_counter()
            model = self._engine.model(message.model_name, message.model_version or None)
            metrics = model.metrics
            request = read_infer(message)
            read = perf_counter()
            outputs = await self._engine.run(
                model,
                request.inputs,
                tuple(request.outputs),
                timeout_seconds=_sooner(request.timeout_seconds, call.left_seconds),
            )
            ran = perf_counter()
            reply = write_infer(model.name, model.version, request, outputs, model.classes)
            metrics.input.observe(read - start)
            metrics.output.observe(perf_counter() - ran)
        except (Exception, CancelledError) as error:
            metrics.count_request(number_of(error))
            count_rejection(self._engine.metrics, error)
            raise
        metrics.count_request(OK)
        return reply


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
