"""What the server is, what its models take and give, and the evidence they carry."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from serve.engine.engine import Engine
from serve.engine.errors import quoted
from serve.engine.manifest import Json
from serve.engine.model import ServedModel
from serve.protocol.metadata import ModelMetadata, ServerMetadata, write_metadata
from serve.protocol.modelconfig import ModelConfiguration, write_configuration
from serve.rest.schemas import ERRORS, ModelName, VersionName


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
