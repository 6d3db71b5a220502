"""Files of `torch.save`: an adaptact checkpoint, a bare state_dict, or a pickled module."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from adaptive_act.checkpoint.checkpoint import Checkpoint, is_checkpoint, restore
from adaptive_act.checkpoint.factory import BUILDING, build_model, resolve
from adaptive_act.checkpoint.state import state_of
from adaptive_act.errors import AdaptiveActError, CheckpointError, FactoryError
from convert.errors import SourceError, UsageError
from convert.model_io.inputs import distinct, inputs_of
from convert.sources.kind import EXPECTED
from convert.sources.ranges import with_ranges
from convert.sources.source import Request, Source, digest_of
from convert.sources.torch_archive import saved

# What unpickling a stranger's classes raises where they are missing, changed, or the bytes damaged.
_UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile),
)


class PickleWarning(UserWarning):
    """Code that a file chose is about to run."""


def unpickled(path: Path) -> object:
    """What the pickle holds, with its tensors on the CPU; code that the file chose has run.

    Raises SourceError where it cannot be unpickled here.
    """
    warnings.warn(
        f"`{path}` is a pickle and runs code of its own choice as it is loaded", PickleWarning, stacklevel=2
    )
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=False)
    except _UNREADABLE as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise SourceError(
            f"`{path}` cannot be unpickled: {type(error).__name__}: {reason[:300]}",
            hint="run the command in the folder, and with the packages, in which the model was saved",
        ) from error
    return content


_INPUT = "--input 'x:float32[N,3,32,32]'"


def read(request: Request) -> Source:
    """The model of a checkpoint, of a bare state_dict with a factory, or of a pickle that the user trusts."""
    path = request.path
    try:
        content = _content(request)
        if isinstance(content, nn.Module):
            return _from_module(content, request)
        if is_checkpoint(content):
            return _from_checkpoint(_restored(content, request), request)
        _require_unwrapped(content, request)
        return _from_state(state_of(content, str(path)), request)
    except FactoryError as error:
        if request.factory is not None:
            raise UsageError(str(error)) from error
        raise SourceError(str(error)) from error
    except AdaptiveActError as error:
        raise SourceError(f"{error}; {EXPECTED}", hint=_hint(request)) from error


def _content(request: Request) -> object:
    """What the file holds; through the unpickler that runs code only where the safe one cannot read it."""
    try:
        content = saved(request.path)
    except CheckpointError:
        if not request.allow_pickle:
            raise
        content = unpickled(request.path)
    return content


def _require_unwrapped(content: object, request: Request) -> None:
    """Raises SourceError where a training loop's file holds a state_dict among other things."""
    members = content.items() if isinstance(content, dict) else ()
    key = next((key for key, value in members if _is_state(value)), None)
    if key is not None:
        name = request.path.name
        raise SourceError(
            f"`{request.path}` holds a state_dict under `{key}`, among other things; {EXPECTED}",
            hint=f"take it out: python -c \"import torch; torch.save(torch.load('{name}', weights_only=True)"
            f"['{key}'], 'state.pt')\", then adaptact-export state.pt model.onnx --factory "
            f"package.module:callable {_INPUT}",
        )


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(one, Tensor) for one in value.values())


def _hint(request: Request) -> str:
    source = request.path.name
    if request.allow_pickle:
        return f"adaptact-export {source} model.onnx --factory package.module:callable {_INPUT}"
    return (
        "save its state_dict() and name the code that builds the model: adaptact-export state.pt model.onnx "
        f"--factory package.module:callable {_INPUT}; or, only if you trust whoever wrote it, since a pickle "
        f"runs what it likes: adaptact-export {source} model.onnx --allow-pickle {_INPUT}"
    )


def _restored(content: object, request: Request) -> Checkpoint:
    return restore(content, str(request.path), request.factory, request.factory_kwargs)


def _from_checkpoint(checkpoint: Checkpoint, request: Request) -> Source:
    inputs = distinct(tuple(request.inputs) or inputs_of(checkpoint.inputs))
    return Source(
        model=checkpoint.model,
        inputs=with_ranges(checkpoint.model, inputs),
        outputs=checkpoint.outputs,
        classes=checkpoint.classes,
        preprocessing=checkpoint.preprocessing,
        digest=digest_of(request.path),
        kind="checkpoint",
    )


def _from_module(model: nn.Module, request: Request) -> Source:
    inputs = with_ranges(model.eval(), distinct(request.inputs))
    return Source(model, inputs, None, None, None, digest_of(request.path), kind="pickled module")


def _from_state(state: Mapping[str, Tensor], request: Request) -> Source:
    if request.factory is None:
        raise UsageError(
            f"`{request.path}` is a bare state_dict, which does not say what model it belongs to",
            hint=f"name the code that builds it: adaptact-export {request.path.name} model.onnx --factory "
            f"package.module:callable {_INPUT}",
        )
    described = distinct(request.inputs)
    model = build_model(resolve(request.factory, trusted=True), request.factory_kwargs or {})
    try:
        model.load_state_dict(state)
    except BUILDING as error:  # which the model's own code may raise, where it has extra state
        reason = " ".join(str(error).split())
        raise SourceError(
            f"`{request.path}` does not fit the model of `{request.factory}`: {reason}",
            hint="name another factory, or its arguments: --factory-kwargs '{\"classes\": 10}'",
        ) from error
    inputs = with_ranges(model.eval(), described)
    return Source(model, inputs, None, None, None, digest_of(request.path), kind="state_dict")
