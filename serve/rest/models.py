"""Models: metadata, configuration, evidence; the repository, loading and unloading; aliases."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serve.engine.engine import Engine
from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.engine.manifest import Json
from serve.engine.model import ServedModel
from serve.engine.states import State
from serve.protocol.metadata import (
    ModelConfiguration,
    ModelMetadata,
    ServerMetadata,
    check_unload,
    read_load,
    write_configuration,
    write_metadata,
)
from serve.rest.body import read_small_object
from serve.rest.schemas import ALIAS, ERRORS, INDEX, LOAD, UNLOAD, ModelName, VersionName


def model_routes(engine: Engine) -> APIRouter:
    """The routes that describe the server and its models."""
    router = APIRouter(prefix="/v2", tags=["models"], responses=ERRORS)

    # Clients ask for both spellings, and take a redirect for an error.
    @router.get("/", include_in_schema=False)
    @router.get("")
    async def server_metadata() -> ServerMetadata:
        """What this server is."""
        return ServerMetadata()

    @router.get("/models/{model}")
    async def model_metadata(model: ModelName) -> ModelMetadata:
        """What the model's highest version takes and gives."""
        return _describe(engine, engine.model(model))

    @router.get("/models/{model}/versions/{version}")
    async def version_metadata(model: ModelName, version: VersionName) -> ModelMetadata:
        """What this version of the model takes and gives."""
        return _describe(engine, engine.model(model, version))

    @router.get("/models/{model}/manifest")
    async def model_manifest(model: ModelName) -> dict[str, object]:
        """The evidence in the highest version's file: source, activations, rules, parity."""
        return dict(_manifest(engine.model(model)))

    @router.get("/models/{model}/versions/{version}/manifest")
    async def version_manifest(model: ModelName, version: VersionName) -> dict[str, object]:
        """The evidence in this version's file: source, activations, rules, parity."""
        return dict(_manifest(engine.model(model, version)))

    @router.get("/models/{model}/config", response_model_exclude_none=True)
    async def model_configuration(model: ModelName) -> ModelConfiguration:
        """How the model is served, by the protocol's names."""
        return _configuration(engine.model(model))

    @router.get("/models/{model}/versions/{version}/config", response_model_exclude_none=True)
    async def version_configuration(model: ModelName, version: VersionName) -> ModelConfiguration:
        """How this version of the model is served, by the protocol's names."""
        return _configuration(engine.model(model, version))

    return router


def _configuration(model: ServedModel) -> ModelConfiguration:
    return write_configuration(model.name, model.signature, model.config, model.joins)


def _describe(engine: Engine, model: ServedModel) -> ModelMetadata:
    return write_metadata(model.name, engine.versions(model.name), model.signature)


def _manifest(model: ServedModel) -> dict[str, Json]:
    if model.manifest is None:
        raise HTTPException(
            404,
            f"model {quoted(model.name)} version {quoted(model.version)} has no manifest; "
            "`adaptact-export` writes one into the files it makes",
        )
    return model.manifest


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


AliasName = Annotated[str, Path(description="The alias, such as `stable`.")]


class Alias(BaseModel):
    """An alias, and the version that answers for it."""

    alias: str
    version: str


class Aliases(BaseModel):
    """A model's aliases."""

    name: str
    aliases: list[Alias]


def alias_routes(engine: Engine) -> APIRouter:
    """The routes of aliases."""
    path = "/adaptact/v1/models/{model}/aliases"
    router = APIRouter(prefix=path, tags=["aliases"], responses=ERRORS)

    @router.get("")
    async def aliases(model: ModelName) -> Aliases:
        """The model's aliases, each of which may stand where a path names a version."""
        engine.model(model)
        found = sorted(engine.aliases(model).items())
        return Aliases(name=model, aliases=[Alias(alias=name, version=to) for name, to in found])

    @router.get("/{alias}")
    async def alias(model: ModelName, alias: AliasName) -> Alias:
        """The version that answers for the alias."""
        return Alias(alias=alias, version=_version(engine, model, alias))

    @router.put("/{alias}", openapi_extra=ALIAS)
    async def set_alias(model: ModelName, alias: AliasName, request: Request) -> Alias:
        """Let the alias mean a version, from the next request on."""
        version = (await read_small_object(request.scope, request.receive)).get("version")
        if not isinstance(version, str):
            raise MalformedRequestError(
                f'`version` is {quoted(version)}, expected a version as a text: {{"version": "2"}}'
            )
        engine.model(model)
        await engine.set_alias(model, alias, version)
        return Alias(alias=alias, version=version)

    @router.delete("/{alias}")
    async def remove_alias(model: ModelName, alias: AliasName) -> Alias:
        """Forget the alias; the answer says what it meant."""
        removed = Alias(alias=alias, version=_version(engine, model, alias))
        await engine.remove_alias(model, alias)
        return removed

    return router


def _version(engine: Engine, model: str, alias: str) -> str:
    """The version that the alias means; raises `HTTPException` where there is none."""
    engine.model(model)
    aliases = engine.aliases(model)
    if alias not in aliases:
        raise HTTPException(
            404, f"model {quoted(model)} has no alias {quoted(alias)}; aliases: {listed(list(aliases))}"
        )
    return aliases[alias]
