"""The first stage: a file becomes a model, with what is known of its inputs and outputs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptive_act.archive import read
from adaptive_act.checkpoint import Checkpoint, is_checkpoint, restore, state_of
from adaptive_act.errors import AdaptiveActError, FactoryError
from adaptive_act.factory import build_model, resolve
from convert.errors import SourceError, UsageError
from convert.inputs import InputSpec, distinct, inputs_of
from convert.kind import EXPECTED, require_torch_file


@dataclass(frozen=True, slots=True)
class Source:
    """A model in evaluation mode, and what the file and the user say of it."""

    model: nn.Module
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    preprocessing: Mapping[str, Any] | None
    digest: str
    """SHA-256 of the file, in hexadecimal."""


def load(
    path: Path,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
) -> Source:
    """The model in an adaptact checkpoint, or of a bare state_dict with a factory and inputs.

    What the user says of inputs and factory wins over what the checkpoint says.
    Raises SourceError where the file is neither, and UsageError where the user must say more.
    """
    require_torch_file(path)
    try:
        content = read(path)
        if is_checkpoint(content):
            checkpoint = restore(content, str(path), factory, factory_kwargs)
            return _from_checkpoint(checkpoint, path, inputs)
        return _from_state(state_of(content, str(path)), path, factory, factory_kwargs, inputs)
    except FactoryError as error:
        if factory is not None:
            raise UsageError(str(error)) from error
        raise SourceError(str(error)) from error
    except AdaptiveActError as error:
        raise SourceError(f"{error}; {EXPECTED}") from error


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_checkpoint(checkpoint: Checkpoint, path: Path, inputs: Sequence[InputSpec]) -> Source:
    return Source(
        model=checkpoint.model,
        inputs=distinct(tuple(inputs) or inputs_of(checkpoint.inputs)),
        outputs=checkpoint.outputs,
        classes=checkpoint.classes,
        preprocessing=checkpoint.preprocessing,
        digest=digest_of(path),
    )


def _from_state(
    state: Mapping[str, Tensor],
    path: Path,
    factory: str | None,
    factory_kwargs: Mapping[str, Any] | None,
    inputs: Sequence[InputSpec],
) -> Source:
    if factory is None:
        raise UsageError(
            f"`{path}` is a bare state_dict, which does not say what model it belongs to",
            hint="name the code that builds it: --factory package.module:callable",
        )
    described = distinct(inputs)
    model = build_model(resolve(factory, trusted=True), factory_kwargs or {})
    missing, unexpected = _mismatch(model, state)
    if missing or unexpected:
        raise SourceError(
            f"`{path}` does not fit the model of `{factory}`: {len(missing)} missing {missing[:3]}, "
            f"{len(unexpected)} unexpected or of another shape {unexpected[:3]}"
        )
    model.load_state_dict(state)
    return Source(model.eval(), described, None, None, None, digest_of(path))


def _mismatch(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    expected = {name: value.shape for name, value in model.state_dict().items()}
    missing = [name for name in expected if name not in state]
    unexpected = [name for name, value in state.items() if expected.get(name) != value.shape]
    return missing, unexpected
