"""A client of one server: `Client` blocks until an answer comes, `AsyncClient` awaits it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import AsyncRetrying

from serve.client import calls, transport
from serve.client.calls import ClientCall, Instance, Reply
from serve.client.replies import InferResult, Json, ModelState, ModelStatistics, Predictions
from serve.client.retry import Attempts, Failure, Retry
from serve.client.tensors import Encoding
from serve.client.transport import LimitedBody, Transport, base_url, basic_auth
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, ServerMetadata

T = TypeVar("T")


class AsyncClient:
    """Asks one server, over connections that it keeps open.

    `Client` may be shared between threads, `AsyncClient` between the tasks of one event loop.

    Every method raises `ClientError`, and takes `timeout_seconds` at most, with all its pauses and repeats;
    None for any time. A request is sent again as `retry` says where that is safe: `load` and `unload` only if
    no connection was made.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float | None = 60.0,
        retry: Retry = Retry(),  # noqa: B008  # frozen
        transport: Transport = Transport(),  # noqa: B008  # frozen
    ) -> None:
        self.url = base_url(url)
        self._timeout_seconds = timeout_seconds
        self._retry = retry
        self._limit_bytes = transport.reply_limit_bytes
        self._http = httpx.AsyncClient(
            headers=transport.all_headers(api_key),
            auth=basic_auth(url),
            verify=transport.verify(self.url),
            limits=transport.limits,
            follow_redirects=False,
        )

    async def is_live(self) -> bool:
        """Whether the server runs; one that cannot be reached raises `UnreachableError`."""
        return await self._ask(calls.live())

    async def is_ready(self) -> bool:
        """Whether the server says that it can answer."""
        return await self._ask(calls.ready(None, None))

    async def is_model_ready(self, model: str, version: str | None = None) -> bool:
        """Whether the model, or this version of it, can answer; False too where there is none."""
        return await self._ask(calls.ready(model, version))

    async def server_metadata(self) -> ServerMetadata:
        """What the server is."""
        return await self._ask(calls.server())

    async def model_metadata(self, model: str, version: str | None = None) -> ModelMetadata:
        """What the model takes and gives."""
        return await self._ask(calls.model(model, version))

    async def model_manifest(self, model: str, version: str | None = None) -> dict[str, Json]:
        """The evidence in the model's file."""
        return await self._ask(calls.manifest(model, version))

    async def model_config(self, model: str, version: str | None = None) -> dict[str, Json]:
        """How the server runs the model."""
        return await self._ask(calls.config(model, version))

    async def model_aliases(self, model: str) -> dict[str, str]:
        """The model's aliases and the version that each means; adaptact's own, not of the protocol."""
        return await self._ask(calls.aliases(model))

    async def model_statistics(
        self, model: str | None = None, version: str | None = None
    ) -> tuple[ModelStatistics, ...]:
        """What the versions of the model, or of all models, have done."""
        return await self._ask(calls.statistics(model, version))

    async def index(self) -> tuple[ModelState, ...]:
        """Every version in the server's repository, and its state."""
        return await self._ask(calls.index())

    async def load(self, model: str) -> None:
        """Load the model, or load it anew."""
        await self._ask(calls.load(model))

    async def unload(self, model: str) -> None:
        """Unload the model."""
        await self._ask(calls.unload(model))

    async def infer(  # noqa: PLR0913  # each argument is a field of the message
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: str | None = None,
        outputs: Sequence[str] = (),
        encoding: Encoding = "binary",
        request_id: str | None = None,
        parameters: Mapping[str, str | int | float | bool] | None = None,
    ) -> InferResult:
        """The outputs asked for, or all, for these inputs; in binary bit for bit what the model gave."""
        return await self._ask(
            calls.infer(
                model,
                inputs,
                version=version,
                outputs=outputs,
                encoding=encoding,
                request_id=request_id,
                parameters=parameters or {},
            )
        )

    async def predict(
        self, model: str, instances: Sequence[Instance], version: str | None = None
    ) -> Predictions:
        """A prediction for each instance, and its label where the model names its classes.

        An instance is nested lists or an array, the bytes of an image file, or a mapping of those by input.
        """
        return await self._ask(calls.predict(model, instances, version))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _ask(self, call: ClientCall[T]) -> T:
        attempts = Attempts(call, self.url, self._timeout_seconds, self._retry)
        outcome: Reply | Failure = await AsyncRetrying(**attempts.policy)(self._send, attempts)
        if isinstance(outcome, Reply) and self._retry.connecting is not None:
            self._retry = replace(self._retry, connecting=None)
        return attempts.read(outcome)

    async def _send(self, attempts: Attempts[T]) -> Reply | Failure:
        left_seconds = attempts.left_seconds()
        request = transport.make_request(self._http, self.url, attempts.call, left_seconds)
        body = LimitedBody(self._limit_bytes, left_seconds)
        try:
            async with transport.async_time_limit(left_seconds):
                response = await self._http.send(request, stream=True)
                try:
                    async for piece in response.aiter_bytes():
                        body.add(piece)
                finally:
                    await response.aclose()
        except (httpx.RequestError, TimeoutError) as error:
            return transport.describe_failure(error)
        return transport.make_reply(response, body.content)
