"""The first stage: a file becomes a model, with what is known of its inputs and outputs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.model_io.inputs import InputSpec
from convert.sources import graph, program, state, torchscript
from convert.sources.kind import Container, recognise
from convert.sources.source import Request, Source, digest_of

__all__ = ["Source", "digest_of", "load"]
_READERS: Mapping[Container, Callable[[Request], Source]] = {
    Container.TORCH: state.read,
    Container.PICKLE: state.read,
    Container.TORCHSCRIPT: torchscript.read,
    Container.PROGRAM: program.read,
    Container.ONNX: graph.read,
}


def load(  # each argument is an option of the command
    path: Path,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
    *,
    allow_pickle: bool = False,
) -> Source:
    """The model in the file, whatever kind of file it is.

    What the user says of inputs and factory wins over what the file says. Nothing is unpickled that could run
    code, unless `allow_pickle`. Raises SourceError where the file cannot be read, and UsageError where the
    user must say more.
    """
    return _READERS[recognise(path)](Request(path, factory, factory_kwargs, tuple(inputs), allow_pickle))
