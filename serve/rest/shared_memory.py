"""The routes of regions of shared memory, of which those on GPUs are refused."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from serve.engine.errors import RegionError, UnsupportedError, quote
from serve.protocol.json_text import Value
from serve.protocol.parameters import read_whole_number
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, REGION
from serve.shared.regions import MemoryRegions, RegionStatus

RegionName = Annotated[str, Path(description="The region's name.")]


class RegionChanged(BaseModel):
    """An empty object."""


def system_memory_routes(regions: MemoryRegions) -> APIRouter:
    """The routes of regions in system memory; in the document of the API only where they are on."""
    router = APIRouter(
        prefix="/v2/systemsharedmemory",
        tags=["shared memory"],
        responses=ERRORS,
        include_in_schema=regions.is_on,
    )

    @router.get("/status")
    async def status() -> list[RegionStatus]:
        """Every region."""
        return regions.describe()

    @router.get("/region/{region}/status")
    async def region_status(region: RegionName) -> list[RegionStatus]:
        """The region alone."""
        return regions.describe(region)

    @router.post("/region/{region}/register", openapi_extra=REGION)
    async def register(region: RegionName, request: Request) -> RegionChanged:
        """Open a part of a shared memory object as a region."""
        regions.check_on()
        fields = await read_small_object(request.scope, request.receive)
        await regions.register(_read_region(region, fields))
        return RegionChanged()

    @router.post("/region/{region}/unregister")
    async def unregister(region: RegionName) -> RegionChanged:
        """Forget the region, if there is one."""
        await regions.unregister(region)
        return RegionChanged()

    @router.post("/unregister")
    async def unregister_all() -> RegionChanged:
        """Forget every region."""
        await regions.unregister("")
        return RegionChanged()

    return router


def cuda_memory_routes() -> APIRouter:
    """The routes of regions on GPUs, all of which answer 501."""
    router = APIRouter(include_in_schema=False)
    for region in ("", "/region/{region}"):
        for verb, method in (("status", "GET"), ("register", "POST"), ("unregister", "POST")):
            router.add_api_route(f"/v2/cudasharedmemory{region}/{verb}", _refuse, methods=[method])
    return router


def _read_region(name: str, fields: dict[str, Value]) -> RegionStatus:
    key = fields.get("key")
    if not isinstance(key, str):
        raise RegionError(f"region {quote(name)}: `key` is {quote(key)}, expected the name of an object")
    return RegionStatus(
        name,
        key,
        read_whole_number("region", name, fields.get("offset", 0), "offset"),
        read_whole_number("region", name, fields.get("byte_size"), "byte_size"),
    )


async def _refuse(request: Request) -> None:
    raise UnsupportedError(
        "CUDA shared memory is not supported by this server; use system shared memory, or send tensors in "
        "binary"
    )
