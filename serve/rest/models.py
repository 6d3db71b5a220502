"""The routes of models: metadata, configuration and manifest; the repository; aliases."""

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serve.engine.catalogue import IndexEntry
from serve.engine.engine import Engine
from serve.engine.errors import MalformedRequestError, ModelUnavailableError, quote, quote_names
from serve.engine.manifest import Json
from serve.engine.model import ServedModel
from serve.protocol.descriptions import EXTENSIONS, ModelMetadata, ServerMetadata
from serve.protocol.metadata import (
    ModelConfiguration,
    check_unload,
    read_load,
    write_configuration,
    write_metadata,
)
from serve.rest.body import read_small_object
from serve.rest.language import AskedLanguage
from serve.rest.retelling import retell_manifest
from serve.rest.schemas import ALIAS, ERRORS, INDEX, LOAD, UNLOAD, ModelName, VersionName

AliasName = Annotated[str, Path(description="The alias, such as `stable`.")]


class Done(BaseModel):
    """An empty object."""


class Alias(BaseModel):
    """An alias, and the version that answers for it."""

    alias: str
    version: str


class Aliases(BaseModel):
    """A model's aliases."""

    name: str
    aliases: list[Alias]


def model_routes(engine: Engine, extensions: tuple[str, ...] = EXTENSIONS) -> APIRouter:
    """The routes of the server's and the models' metadata, and of manifests."""
    router = APIRouter(prefix="/v2", tags=["models"], responses=ERRORS)

    # Clients use both spellings, and treat a redirect as an error.
    @router.get("/", include_in_schema=False)
    @router.get("")
    async def server_metadata() -> ServerMetadata:
        """The server's name, version and extensions."""
        return ServerMetadata(extensions=extensions)

    @router.get("/models/{model}", response_model_exclude_none=True)
    async def model_metadata(model: ModelName) -> ModelMetadata:
        """The inputs and outputs of the model's highest version."""
        return _describe(engine, engine.model(model))

    @router.get("/models/{model}/versions/{version}", response_model_exclude_none=True)
    async def version_metadata(model: ModelName, version: VersionName) -> ModelMetadata:
        """The inputs and outputs of this version of the model."""
        return _describe(engine, engine.model(model, version))

    @router.get("/models/{model}/manifest")
    async def model_manifest(model: ModelName, language: AskedLanguage) -> dict[str, Any]:
        """The evidence in the highest version's file: source, activations, rules, parity."""
        return await retell_manifest(_require_manifest(engine.model(model)), language)

    @router.get("/models/{model}/versions/{version}/manifest")
    async def version_manifest(
        model: ModelName, version: VersionName, language: AskedLanguage
    ) -> dict[str, Any]:
        """The evidence in this version's file: source, activations, rules, parity."""
        return await retell_manifest(_require_manifest(engine.model(model, version)), language)

    return router


def configuration_routes(engine: Engine) -> APIRouter:
    """The routes of the models' configurations."""
    router = APIRouter(prefix="/v2", tags=["models"], responses=ERRORS)

    @router.get("/models/{model}/config", response_model_exclude_none=True)
    async def model_configuration(model: ModelName) -> ModelConfiguration:
        """How the model is served, by the protocol's names."""
        return _describe_configuration(engine.model(model))

    @router.get("/models/{model}/versions/{version}/config", response_model_exclude_none=True)
    async def version_configuration(model: ModelName, version: VersionName) -> ModelConfiguration:
        """How this version of the model is served, by the protocol's names."""
        return _describe_configuration(engine.model(model, version))

    return router


def repository_routes(engine: Engine) -> APIRouter:
    """The routes of the repository."""
    router = APIRouter(prefix="/v2/repository", tags=["repository"], responses=ERRORS)

    @router.post("/index", openapi_extra=INDEX)
    async def index(request: Request) -> list[IndexEntry]:
        """Every version in the models folder, and its state; only those that are ready if `ready` is true."""
        only_ready = (await read_small_object(request.scope, request.receive)).get("ready", False)
        if not isinstance(only_ready, bool):
            raise MalformedRequestError(f"`ready` is {quote(only_ready)}, expected true or false")
        return [entry for entry in engine.index() if entry.state == "READY" or not only_ready]

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
        """Take no new requests for the model, finish those it has, and free its memory."""
        check_unload(await read_small_object(request.scope, request.receive))
        await engine.unload(model)
        return Done()

    return router


class AliasKeeper(Protocol):
    """Who is asked to change aliases: the engine, or what does it for all servers of a database."""

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point the alias at the version."""

    async def remove_alias(self, name: str, alias: str) -> None:
        """Remove the alias."""


def alias_routes(engine: Engine, keeper: AliasKeeper) -> APIRouter:
    """The routes of aliases, which the keeper changes."""
    path = "/adaptact/v1/models/{model}/aliases"
    router = APIRouter(prefix=path, tags=["aliases"], responses=ERRORS)

    @router.get("")
    async def aliases(model: ModelName) -> Aliases:
        """The model's aliases; a path may name one in place of a version."""
        _require_known(engine, model)
        aliases = sorted(engine.aliases(model).items())
        return Aliases(
            name=model, aliases=[Alias(alias=alias, version=version) for alias, version in aliases]
        )

    @router.get("/{alias}")
    async def alias(model: ModelName, alias: AliasName) -> Alias:
        """The version that answers for the alias."""
        return Alias(alias=alias, version=_find_version(engine, model, alias))

    @router.put("/{alias}", openapi_extra=ALIAS)
    async def set_alias(model: ModelName, alias: AliasName, request: Request) -> Alias:
        """Point the alias at a version, from the next request on."""
        version = (await read_small_object(request.scope, request.receive)).get("version")
        if not isinstance(version, str):
            raise MalformedRequestError(
                f'`version` is {quote(version)}, expected a version as a text: {{"version": "2"}}'
            )
        engine.versions(model)  # not the default one: `stable` may mean a version that is gone
        await keeper.set_alias(model, alias, version)
        return Alias(alias=alias, version=version)

    @router.delete("/{alias}")
    async def remove_alias(model: ModelName, alias: AliasName) -> Alias:
        """Remove the alias; the answer is its version."""
        removed = Alias(alias=alias, version=_find_version(engine, model, alias))
        await keeper.remove_alias(model, alias)
        return removed

    return router


def _find_version(engine: Engine, model: str, alias: str) -> str:
    """The alias's version; raises `HTTPException` where there is none."""
    _require_known(engine, model)
    aliases = engine.aliases(model)
    if alias not in aliases:
        raise HTTPException(
            404, f"model {quote(model)} has no alias {quote(alias)}; aliases: {quote_names(list(aliases))}"
        )
    return aliases[alias]


def _require_known(engine: Engine, model: str) -> None:
    """Raises `UnknownModelError`; a model that is not loaded has its aliases too."""
    with suppress(ModelUnavailableError):
        engine.model(model)


def _describe_configuration(model: ServedModel) -> ModelConfiguration:
    return write_configuration(model.name, model.signature, model.config, model.joins)


def _describe(engine: Engine, model: ServedModel) -> ModelMetadata:
    versions = engine.versions(model.name)
    metadata = write_metadata(model.name, versions, model.signature, model.parity, model.description)
    choice = {} if model.choice is None else {"provider_choice": asdict(model.choice)}
    return replace(metadata, parameters={"provider": model.provider, "threads": model.threads, **choice})


def _require_manifest(model: ServedModel) -> dict[str, Json]:
    if model.manifest is None:
        raise HTTPException(
            404,
            f"model {quote(model.name)} version {quote(model.version)} has no manifest; "
            "`adaptact export` writes one into the files it makes",
        )
    return model.manifest
