"""Names for a model's versions, such as `stable`: where clients ask for them, the operator moves them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serve.engine.engine import Engine
from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.rest.body import read_small_object
from serve.rest.schemas import ALIAS, ERRORS, ModelName

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
