"""Shared memory of clients on this machine: regions by name, and the tensors of requests in them.

A region is a part of a POSIX shared memory object. Its bytes are copied with `pread` and `pwrite`, never
mapped: a client may shorten the object at any time, and access to a mapping would then end the process.
"""

import asyncio
import os
import re
import stat
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, ParamSpec, TypeAlias, TypeVar

import numpy as np

from serve.engine.errors import RegionError, UnsupportedError, quote
from serve.engine.signature import Array
from serve.protocol.binary import datatype_name, from_binary, view_binary
from serve.protocol.descriptions import EXTENSIONS
from serve.protocol.messages import InferRequest
from serve.protocol.placements import PlacedInput, PlacedOutput, Placement
from serve.shared.worker_group import REGISTER_REGION, UNREGISTER_REGION, WorkerGroup

FOLDER = "/dev/shm"  # where Linux shows the objects of shm_open(3)
KEY = re.compile(r"/?([A-Za-z0-9_][A-Za-z0-9._-]{0,254})")
EVERY_NAME = "*"
EXTENSION = "system_shared_memory"
LONGEST_NAME = 256
MOST_REGIONS = 128  # each is an open file
# All inputs from regions together may have as many bytes as so many of the largest requests.
LARGEST_REQUESTS = 16
# Copying more takes longer than handing the work to another thread and back.
THREAD_BYTES = 2**18
OFF = "shared memory is off; start the server with `--shared-memory`, or send tensors in binary"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Outputs: TypeAlias = dict[str, Array]
Run: TypeAlias = Callable[[Mapping[str, Array]], Awaitable[Outputs]]
"""Runs the model on the inputs."""


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """A region as its client registered it."""

    name: str
    key: str
    offset: int
    byte_size: int


class PlacedAnswer(NamedTuple):
    """The request with all its inputs, the outputs for the message, and those that are in regions."""

    request: InferRequest
    outputs: Outputs
    placed: Mapping[str, PlacedOutput]


class MemoryRegions:
    """The regions of all workers; those of a client that does not unregister stay until the server ends."""

    def __init__(self, names: Sequence[str], limit_bytes: int, workers: WorkerGroup) -> None:
        """`names` are what objects' names begin with, EVERY_NAME for all, none to refuse any region.

        `limit_bytes` is the limit of one request's inputs.
        """
        self._names = tuple(names)
        self._limit = limit_bytes
        self._workers = workers
        self._regions: dict[str, _Region] = {}
        self._held_bytes = 0
        workers.register(REGISTER_REGION, self._register_here)
        workers.register(UNREGISTER_REGION, self._unregister_here)

    @property
    def extensions(self) -> tuple[str, ...]:
        """The protocol's extensions that the server has with these regions."""
        return (*EXTENSIONS, EXTENSION) if self.is_on else EXTENSIONS

    @property
    def is_on(self) -> bool:
        """Whether regions can be registered."""
        return bool(self._names)

    def check_on(self) -> None:
        """Raise `UnsupportedError` unless regions can be registered."""
        if not self._names:
            raise UnsupportedError(OFF)

    async def register(self, status: RegionStatus) -> None:
        """Open the region in every worker; raises `RegionError`, or `UnsupportedError` where that is off."""
        self.check_on()
        await self._workers.broadcast(
            REGISTER_REGION, status.name, status.key, status.offset, status.byte_size
        )

    async def unregister(self, name: str) -> None:
        """Forget the region in every worker, all without a name; runs that use it go on."""
        self.check_on()
        for known in [name] if name else list(self._regions):
            await self._workers.broadcast(UNREGISTER_REGION, known)

    def describe(self, name: str = "") -> list[RegionStatus]:
        """The region, or all without a name; raises `RegionError` for an unknown one."""
        self.check_on()
        if name:
            return [self._find(name).status]
        return [region.status for region in self._regions.values()]

    async def run(self, request: InferRequest, run: Run) -> PlacedAnswer:
        """Run on inputs from regions, and write outputs into regions; raises `RegionError` and as `run`."""
        self.check_on()
        size = sum(placed.placement.size for placed in request.placed.values())
        if size > self._limit:
            raise RegionError(
                f"the inputs in shared memory have `{size}` bytes; the limit is `{self._limit}`"
            )
        if self._held_bytes + size > LARGEST_REQUESTS * self._limit:
            raise RegionError("all inputs in shared memory together are too large; come again")
        self._held_bytes += size
        try:
            is_long = size > THREAD_BYTES
            arrays = await _call(is_long, self._read_inputs, request.placed)
            filled = request._replace(inputs={**request.inputs, **arrays})
            outputs = await run(filled.inputs)
            is_long = sum(array.nbytes for array in outputs.values()) > THREAD_BYTES
            written = await _call(is_long, self._write_outputs, request, outputs)
        finally:
            self._held_bytes -= size
        left = {name: array for name, array in outputs.items() if name not in written}
        return PlacedAnswer(filled, left, written)

    def _read_inputs(self, inputs: Mapping[str, PlacedInput]) -> dict[str, Array]:
        arrays = {}
        for name, (placement, datatype, shape) in inputs.items():
            data = self._find(placement.region).read(placement)
            arrays[name] = from_binary(name, data, datatype, shape)
        return arrays

    def _write_outputs(self, request: InferRequest, outputs: Outputs) -> dict[str, PlacedOutput]:
        written = {}
        for name, requested in request.outputs.items():
            placement = requested.placement
            if placement is not None:
                array = outputs[name]
                size = self._find(placement.region).write(name, placement, memoryview(view_binary(array)))
                written[name] = PlacedOutput(placement._replace(size=size), datatype_name(array), array.shape)
        return written

    def _find(self, name: str) -> "_Region":
        region = self._regions.get(name)
        if region is None:
            raise RegionError(f"there is no shared memory region {quote(name)}; register it first")
        return region

    # A change is answered with the verb and arguments that undo it, or None where nothing does.

    async def _register_here(self, name: str, key: str, offset: int, byte_size: int) -> list[object]:
        if not 0 < len(name) <= LONGEST_NAME:
            raise RegionError(f"a region's name has 1 to {LONGEST_NAME} characters, got `{len(name)}`")
        if name in self._regions:
            raise RegionError(
                f"shared memory region {quote(name)} is registered already; unregister it first"
            )
        if len(self._regions) >= MOST_REGIONS:
            raise RegionError(f"there are {MOST_REGIONS} regions, which is the limit; unregister some")
        self._regions[name] = _open_region(RegionStatus(name, key, offset, byte_size), self._read_key(key))
        return [UNREGISTER_REGION, name]

    async def _unregister_here(self, name: str) -> list[object] | None:
        region = self._regions.pop(name, None)
        if region is None:
            return None
        status = region.status
        return [REGISTER_REGION, status.name, status.key, status.offset, status.byte_size]

    def _read_key(self, key: str) -> str:
        """The object's name; raises `RegionError` for one that is not allowed."""
        match = KEY.fullmatch(key)
        if match is None:
            raise RegionError(
                f"the key {quote(key)} is no shared memory object's: a name of letters, digits and `._-`"
            )
        if EVERY_NAME not in self._names and not match[1].startswith(self._names):
            raise RegionError(f"the key {quote(key)} does not begin as `--shared-memory` allows")
        return match[1]


class _Region:
    """An open part of a shared memory object, which is closed with the last that uses it."""

    def __init__(self, status: RegionStatus, descriptor: int) -> None:
        """The descriptor is closed by the region."""
        self.status = status
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def read(self, placement: Placement) -> memoryview:
        """A copy of the bytes; raises `RegionError` for bytes beyond the region or the object."""
        self._check_bounds(placement)
        copy = np.empty(placement.size, np.uint8).data
        place, start = 0, self.status.offset + placement.offset
        while place < placement.size:
            count = os.preadv(self._descriptor, [copy[place:]], start + place)
            if not count:
                _check_size(self.status, self._descriptor)
                raise RegionError(f"the object {quote(self.status.key)} changed its size meanwhile")
            place += count
        return copy

    def write(self, output: str, placement: Placement, data: memoryview) -> int:
        """Write the output's bytes, and return their number; raises `RegionError` where there is no room."""
        self._check_bounds(placement)
        if len(data) > placement.size:
            raise RegionError(
                f"output {quote(output)} has `{len(data)}` bytes, and `shared_memory_byte_size` is "
                f"`{placement.size}`"
            )
        _check_size(self.status, self._descriptor)  # a write beyond the object's end would make it larger
        place, start = 0, self.status.offset + placement.offset
        try:
            while place < len(data):
                place += os.pwrite(self._descriptor, data[place:], start + place)
        except OSError as error:  # the file system may have less room than the object's size promises
            raise RegionError(
                f"output {quote(output)} cannot be written into the object {quote(self.status.key)}: "
                f"{error.strerror}; free shared memory, or make `{FOLDER}` larger"
            ) from error
        return len(data)

    def _check_bounds(self, placement: Placement) -> None:
        if placement.offset + placement.size > self.status.byte_size:
            raise RegionError(
                f"shared memory region {quote(self.status.name)} has `{self.status.byte_size}` bytes, and the"
                f" tensor takes `{placement.size}` from `{placement.offset}` on"
            )


def open_regions(names: str, limit_bytes: int, workers: WorkerGroup) -> MemoryRegions:
    """The regions that the setting `shared_memory` allows."""
    return MemoryRegions([name.strip() for name in names.split(",") if name.strip()], limit_bytes, workers)


def _open_region(status: RegionStatus, file: str) -> _Region:
    """The region, open; raises `RegionError` unless it is in a file of the server's own user."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(os.path.join(FOLDER, file), flags)
    except OSError as error:
        raise RegionError(f"the object {quote(status.key)} cannot be opened: {error.strerror}") from error
    try:
        _check_owner(status, descriptor)
        _check_size(status, descriptor)
    except RegionError:
        os.close(descriptor)
        raise
    return _Region(status, descriptor)


def _check_owner(status: RegionStatus, descriptor: int) -> None:
    file = os.fstat(descriptor)
    if not stat.S_ISREG(file.st_mode) or file.st_uid != os.geteuid():
        raise RegionError(
            f"the object {quote(status.key)} is not shared memory of the user that the server runs as; "
            "clients that use shared memory run as the same user"
        )


def _check_size(status: RegionStatus, descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if status.byte_size < 1 or size < status.offset + status.byte_size:
        raise RegionError(
            f"the object {quote(status.key)} has `{size}` bytes, and region {quote(status.name)} is to have "
            f"`{status.byte_size}` from `{status.offset}` on"
        )


async def _call(
    is_long: bool,
    function: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """What the function returns, in a thread where it takes long."""
    if is_long:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)
