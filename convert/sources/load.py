"""The first stage: a file becomes a model, with a description of its inputs and outputs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.model_io.inputs import InputSpec
from convert.sources import graph, program, state, torchscript
from convert.sources.kind import Container, recognise
from convert.sources.source import Source, SourceRequest

_READERS: Mapping[Container, Callable[[SourceRequest], Source]] = {
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

    The user's inputs and factory override those of the file. Nothing is unpickled that could run code, unless
    `allow_pickle`. Raises SourceError where the file cannot be read, and UsageError where the user must give
    more.
    """
    return _READERS[recognise(path)](
        SourceRequest(path, factory, factory_kwargs, tuple(inputs), allow_pickle)
    )
