"""Files of `torch.save`: an adaptact checkpoint, a state_dict, or a pickled module; and of safetensors."""

import pickle
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from adaptact import errors as console
from adaptact.text import first_line
from adaptive_act.checkpoint.checkpoint import Checkpoint, restore
from adaptive_act.checkpoint.description import is_checkpoint
from adaptive_act.checkpoint.factory import (
    BUILD_ERRORS,
    build_model,
    resolve_factory,
    working_folder_last,
)
from adaptive_act.checkpoint.safetensors_file import read_safetensors
from adaptive_act.checkpoint.wrapping import find_states, unwrap
from adaptive_act.errors import AdaptiveActError, CheckpointError, FactoryError, LibraryError
from convert.errors import SourceError, UsageError
from convert.model_io.inputs import build_inputs, require_distinct
from convert.sources.kind import EXPECTED
from convert.sources.source import Source, SourceRequest, compute_digest
from convert.sources.torch_archive import load_tensors

KIND = "state_dict"
_HEAD_BYTES = 2**16
_INPUT_OPTION = "--input 'x:float32[N,3,32,32]'"
# What unpickling foreign classes raises where they are missing or changed, or the bytes are damaged.
_UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile),
)


class PickleWarning(UserWarning):
    """Code of the file's choice is about to run."""


def unpickle(path: Path) -> object:
    """The content of the pickle, with its tensors on the CPU; code of the file's choice has run.

    Raises SourceError where it cannot be unpickled here.
    """
    warnings.warn(
        f"`{path}` is a pickle and runs code of its own choice as it is loaded", PickleWarning, stacklevel=2
    )
    try:
        with working_folder_last():
            content: object = torch.load(path, map_location="cpu", weights_only=False)
    except _UNREADABLE as error:
        raise SourceError(
            f"`{path}` cannot be unpickled: {type(error).__name__}: {first_line(error)}",
            hint="run the command in the folder, and with the packages, in which the model was saved",
        ) from error
    return content


def read(request: SourceRequest) -> Source:
    """The model of a checkpoint, of a state_dict with a factory, or of a pickle that the user trusts."""
    try:
        content = _read_content(request)
        if isinstance(content, nn.Module):
            return _from_module(content, request)
        if is_checkpoint(content):
            return _from_checkpoint(_restore(content, request), request)
        return _from_state(content, request)
    except FactoryError as error:
        if request.factory is not None:
            raise UsageError(str(error)) from error
        raise SourceError(str(error)) from error
    except LibraryError as error:
        raise SourceError(str(error), hint=error.hint) from error
    except AdaptiveActError as error:
        raise SourceError(f"{error}; {EXPECTED}", hint=_build_hint(request)) from error


def _read_content(request: SourceRequest) -> object:
    """The content of the file, by the unpickler that runs code only where the safe one cannot read it."""
    try:
        content = load_tensors(request.path)
    except CheckpointError:
        if not request.allow_pickle:
            raise
        content = unpickle(request.path)
    return content


def _build_hint(request: SourceRequest) -> str:
    source = request.path.name
    if _names_sklearn(request.path):
        return (
            "a model of scikit-learn is converted in Python: pip install skl2onnx; onnx = "
            "skl2onnx.to_onnx(model, rows[:1]); open('model.onnx', 'wb').write(onnx.SerializeToString()); "
            "then: adaptact export model.onnx out.onnx"
        )
    if request.allow_pickle:
        return f"adaptact export {source} model.onnx --factory package.module:callable {_INPUT_OPTION}"
    return (
        "save its state_dict() and name the code that builds the model: adaptact export state.pt model.onnx "
        f"--factory package.module:callable {_INPUT_OPTION}; or, only if you trust whoever wrote it, since a "
        f"pickle runs what it likes: adaptact export {source} model.onnx --allow-pickle {_INPUT_OPTION}"
    )


def _names_sklearn(path: Path) -> bool:
    """Whether the beginning of the pickle, which is not run, names a class of scikit-learn."""
    try:
        with path.open("rb") as stream:
            return b"sklearn" in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def _restore(content: object, request: SourceRequest) -> Checkpoint:
    return restore(content, str(request.path), request.factory, request.factory_kwargs)


def _from_checkpoint(checkpoint: Checkpoint, request: SourceRequest) -> Source:
    inputs = require_distinct(tuple(request.inputs) or build_inputs(checkpoint.inputs))
    return Source(
        model=checkpoint.model,
        inputs=inputs,
        outputs=checkpoint.outputs,
        classes=checkpoint.classes,
        preprocessing=checkpoint.preprocessing,
        digest=compute_digest(request.path),
        kind="checkpoint",
    )


def _from_module(model: nn.Module, request: SourceRequest) -> Source:
    inputs = require_distinct(request.inputs)
    return Source(model.eval(), inputs, None, None, None, compute_digest(request.path), kind="pickled module")


def read_safetensors_source(request: SourceRequest) -> Source:
    """The model that the factory builds, with the tensors of a safetensors file."""
    try:
        return replace(_from_state(read_safetensors(request.path), request), kind="safetensors")
    except FactoryError as error:
        raise UsageError(str(error)) from error
    except AdaptiveActError as error:
        raise SourceError(str(error)) from error


def _from_state(content: object, request: SourceRequest) -> Source:
    states = find_states(content, request.path)
    if request.factory is None:
        raise UsageError(
            f"`{request.path}` is a bare state_dict, which does not say what model it belongs to",
            hint=f"name the code that builds it: adaptact export {request.path.name} model.onnx --factory "
            f"package.module:callable {_INPUT_OPTION}",
        )
    described = require_distinct(request.inputs)
    model = build_model(resolve_factory(request.factory, trusted=True), request.factory_kwargs or {})
    try:
        state = unwrap(states, request.state_key, model, request.path)
    except console.UsageError as error:
        raise UsageError(str(error), error.hint) from error
    try:
        model.load_state_dict(state.tensors)
    except BUILD_ERRORS as error:  # the model's own code may raise it, where it has extra state
        reason = " ".join(str(error).split())
        raise SourceError(
            f"`{request.path}` does not fit the model of `{request.factory}`: {reason}",
            hint="name another factory, or its arguments: --factory-kwargs '{\"classes\": 10}'",
        ) from error
    digest = compute_digest(request.path)
    return Source(model.eval(), described, None, None, None, digest, kind=KIND, notes=state.notes)
