"""The protocol's model repository: what there is, loading and unloading."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from serve.engine.engine import Engine
from serve.engine.errors import MalformedRequestError, quoted
from serve.engine.states import State
from serve.protocol.modelconfig import check_unload, read_load
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, INDEX, LOAD, UNLOAD, ModelName


class IndexEntry(BaseModel):
    """One version in the repository; one that is ready and has a reason serves its older file."""

    name: str
    version: str
    state: State
    reason: str


class Done(BaseModel):
    """Nothing more is said."""


def repository_routes(engine: Engine) -> APIRouter:
    """The routes of the repository."""
    router = APIRouter(prefix="/v2/repository", tags=["repository"], responses=ERRORS)

    @router.post("/index", openapi_extra=INDEX)
    async def index(request: Request) -> list[IndexEntry]:
        """Every version in the models folder, and its state; only those that are ready if `ready` is true."""
        only_ready = (await read_small_object(request.scope, request.receive)).get("ready", False)
        if not isinstance(only_ready, bool):
            raise MalformedRequestError(f"`ready` is {quoted(only_ready)}, expected true or false")
        return [
            IndexEntry(name=each.name, version=each.version, state=each.state, reason=each.reason)
            for each in engine.index()
            if each.state == "READY" or not only_ready
        ]

    @router.post("/models/{model}/load", openapi_extra=LOAD)
    async def load(model: ModelName, request: Request) -> Done:
        """Load the model, or load it again, with its own configuration or the one given.

        The version before serves on until the new one answers, and for good if it does not load.
        """
        config = read_load(model, await read_small_object(request.scope, request.receive))
        await engine.load(model, config)
        return Done()

    @router.post("/models/{model}/unload", openapi_extra=UNLOAD)
    async def unload(model: ModelName, request: Request) -> Done:
        """Take no new requests for the model, finish what it has, and give its memory back."""
        check_unload(await read_small_object(request.scope, request.receive))
        await engine.unload(model)
        return Done()

    return router
