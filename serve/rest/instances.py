"""The instances of a `:predict` request to a model's inputs: each kind where its time is nobody else's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from serve.engine.errors import EngineError, UnsupportedError
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.protocol.json_text import LONG_BYTES
from serve.protocol.long_bodies import run_long
from serve.protocol.predict import (
    Instances,
    holds_images,
    holds_numbers,
    holds_texts,
    parse_instances,
    read_instances,
)
from serve.protocol.texts import NO_TOKENIZER, read_texts

# Requests whose images a process decodes at once. Within the bounds of images, each was measured to take up
# to some 450 MiB.
DECODING_REQUESTS = 2


class ReadInstances(NamedTuple):
    """A request's instances as a model's inputs."""

    inputs: dict[str, Array]
    rows: int
    truncated: tuple[int, ...] = ()
    """The places of the texts that were cut."""


class InstanceReader:
    """Reads instances: short bodies at once, images, texts and long bodies in threads."""

    def __init__(self) -> None:
        # Not a semaphore: a request whose client went away would release its place, and go on decoding.
        self._decoding = ThreadPoolExecutor(DECODING_REQUESTS, "adaptact-images")
        # Clients do not wait for mirrored requests.
        self._decoding_mirrored = ThreadPoolExecutor(1, "adaptact-mirrored-images")

    async def parse(self, body: bytes | bytearray) -> "RequestInstances":
        """The body's instances, which no model has read yet; raises `MalformedRequestError`."""
        is_long = len(body) > LONG_BYTES
        instances = await run_long(parse_instances, body) if is_long else parse_instances(body)
        return RequestInstances(self, instances, len(body))

    async def read(
        self, instances: Instances, model: ServedModel, *, is_long: bool, is_mirrored: bool = False
    ) -> ReadInstances:
        """The model's inputs; raises `EngineError`."""
        arguments = instances, model.signature, model.description
        if not holds_numbers(instances):
            if holds_images(instances):
                loop = asyncio.get_running_loop()
                threads = self._decoding_mirrored if is_mirrored else self._decoding
                images = await loop.run_in_executor(threads, read_instances, *arguments)
                return ReadInstances(images, len(instances))
            if holds_texts(instances, model.signature):
                return await self._read_texts(instances, model)
        inputs = await run_long(read_instances, *arguments) if is_long else read_instances(*arguments)
        return ReadInstances(inputs, len(instances))

    async def _read_texts(self, instances: Instances, model: ServedModel) -> ReadInstances:
        tokenizer = model.description.tokenizer
        if tokenizer is None:
            raise UnsupportedError(NO_TOKENIZER)
        loop = asyncio.get_running_loop()
        texts = await loop.run_in_executor(
            tokenizer.thread, read_texts, instances, tokenizer, model.signature
        )
        return ReadInstances(texts.inputs, len(instances), texts.truncated)


class RequestInstances:
    """The instances of one request, as each model that answers it reads them by its own description."""

    def __init__(self, reader: InstanceReader, instances: Instances, size_bytes: int) -> None:
        """No model has read them yet; `size_bytes` is the size of their text."""
        self._reader = reader
        self._instances = instances
        self.size_bytes = size_bytes
        self._known: list[tuple[ServedModel, ReadInstances]] = []

    async def read(self, model: ServedModel, *, is_mirrored: bool = False) -> ReadInstances:
        """The model's inputs, which models that read alike share; raises `EngineError`."""
        for other, known in self._known:
            if reads_alike(other, model):
                return known
        is_long = self.size_bytes > LONG_BYTES
        read = await self._reader.read(self._instances, model, is_long=is_long, is_mirrored=is_mirrored)
        self._known.append((model, read))
        return read

    async def read_inputs(self, model: ServedModel, *, is_mirrored: bool = False) -> dict[str, Array]:
        """The arrays of `read`."""
        return (await self.read(model, is_mirrored=is_mirrored)).inputs

    async def choose(self, variant: ServedModel | None, default: ServedModel) -> ServedModel:
        """Which of the two reads them: the variant, and the default only where the variant cannot."""
        if variant is not None:
            with suppress(EngineError):
                await self.read(variant)
                return variant
        return default


def reads_alike(one: ServedModel, other: ServedModel) -> bool:
    """Whether both models make the same inputs of any instances."""
    if one is other:
        return True
    first, second = one.description, other.description
    return (
        one.signature.inputs == other.signature.inputs
        and (first.columns, first.preprocessing, first.problem)
        == (second.columns, second.preprocessing, second.problem)
        and first.tokenizer is second.tokenizer
    )
