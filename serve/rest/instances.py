"""The instances of a `:predict` request to a model's inputs: each kind where its time is nobody else's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from serve.engine.errors import UnsupportedError
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

    async def read(self, body: bytes | bytearray, model: ServedModel) -> ReadInstances:
        """The model's inputs; raises `EngineError`."""
        is_long = len(body) > LONG_BYTES
        instances = await run_long(parse_instances, body) if is_long else parse_instances(body)
        arguments = instances, model.signature, model.description
        if not holds_numbers(instances):
            if holds_images(instances):
                loop = asyncio.get_running_loop()
                images = await loop.run_in_executor(self._decoding, read_instances, *arguments)
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
