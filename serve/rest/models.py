"""What the server is, what its models take and give, and the evidence they carry."""

from collections.abc import Sequence
from importlib.metadata import version as installed_version

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serve.engine.engine import Engine
from serve.engine.errors import quoted
from serve.engine.manifest import Json
from serve.engine.model import ServedModel
from serve.engine.signature import TensorSpec
from serve.protocol.modelconfig import PLATFORM, ModelConfiguration, write_configuration
from serve.rest.schemas import ERRORS, ModelName, VersionName

# Of the protocol's extensions, those that work here.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)


class ServerMetadata(BaseModel):
    """The server's name, version, and the extensions of the protocol it has."""

    name: str = "adaptact"
    version: str = installed_version("adaptact")
    extensions: list[str] = list(EXTENSIONS)


class TensorMetadata(BaseModel):
    """An input or output; -1 in its shape is a size that may vary."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's versions that can answer, lowest first, and its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str = PLATFORM
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


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
    return ModelMetadata(
        name=model.name,
        versions=engine.versions(model.name),
        inputs=_tensors(model.signature.inputs),
        outputs=_tensors(model.signature.outputs),
    )


def _tensors(specs: Sequence[TensorSpec]) -> list[TensorMetadata]:
    return [TensorMetadata(name=spec.name, datatype=spec.datatype.name, shape=spec.dims) for spec in specs]


def _manifest(model: ServedModel) -> dict[str, Json]:
    if model.manifest is None:
        raise HTTPException(
            404,
            f"model {quoted(model.name)} version {quoted(model.version)} has no manifest; "
            "`adaptact-export` writes one into the files it makes",
        )
    return model.manifest
