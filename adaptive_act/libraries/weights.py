"""Weights from files that the user has, as tensors alone, into a model that a library built."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptact.errors import UsageError
from adaptive_act.checkpoint.archive import read_archive
from adaptive_act.checkpoint.description import is_checkpoint
from adaptive_act.checkpoint.factory import BUILD_ERRORS
from adaptive_act.checkpoint.memory_limit import MemoryLimit, count_bytes
from adaptive_act.checkpoint.safetensors_file import read_safetensors
from adaptive_act.checkpoint.wrapping import find_states, unwrap
from adaptive_act.errors import CheckpointError
from adaptive_act.libraries.library_model import LibraryRequest

_TIMES, _BEYOND = 4, 256 * 2**20  # as for a checkpoint: times the file's tensors, and bytes beyond that
_RANDOM_BYTES = 16 * 2**30
_SEED = 0
# The length of the header, in eight bytes that may begin as other kinds do, and the header, which is JSON.
_SAFETENSORS = re.compile(rb".{4}\0{4}\{[\s\"}]", re.DOTALL)


def read_weights(path: Path) -> object:
    """The content of the file: safetensors, or what `torch.save` wrote, without running code from it.

    Raises CheckpointError where it is missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"no file `{path}`" + (", it is a folder" if path.is_dir() else ""))
    with path.open("rb") as stream:
        head = stream.read(16)
    if not head:
        raise CheckpointError(f"`{path}` is empty")
    if path.suffix == ".safetensors" or _SAFETENSORS.match(head):
        return read_safetensors(path)
    if head[:2] == b"PK":
        return read_archive(path)
    if head[:1] == b"\x80":
        raise CheckpointError(
            f"`{path}` is in the format of old versions of torch, a pickle; write it anew: python "
            f"-c \"import torch; torch.save(torch.load('{path.name}', weights_only=True), 'weights.pt')\""
        )
    return read_safetensors(path)


def require_weights(request: LibraryRequest, library: str) -> None:
    """Raises UsageError unless the user named either a file of weights, or random ones."""
    if request.weights is None and not request.random_weights:
        raise UsageError(
            f"no weights for `{library}:{request.name}`, and nothing is downloaded here",
            hint="name the file that holds them: --weights model.safetensors; to try things out: "
            "--random-weights",
        )
    if request.weights is not None and request.random_weights:
        raise UsageError("`--weights` and `--random-weights` exclude each other")


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model with its weights, the options that it was built with at last, and what was done, in words."""

    model: nn.Module
    options: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def build_with_weights(
    request: LibraryRequest, what: str, build: Callable[[str, Mapping[str, Any]], nn.Module]
) -> BuiltModel:
    """The model that `build` makes of name and options, in evaluation mode, with the user's weights.

    Where only the length of the last layers differs, it is built for as many classes as the weights have.
    Raises CheckpointError where they are another model's.
    """
    states = _find_states(request)
    options = dict(request.options or {})
    notes: tuple[str, ...] = ("random weights",)
    with limit_memory(None if states is None else merge_states(states), what), seed_random_weights():
        model = build(request.name, options)
        if states is not None and request.weights is not None:
            tensors, notes = _choose_state(states, model, request)
            classes = count_classes(model, tensors)
            if classes is not None and "num_classes" not in options:
                options["num_classes"] = classes
                notes = (*notes, f"built for {classes} classes, as many as its weights have")
                model = build(request.name, options)
            load_tensors(model, tensors, what, request.weights)
    return BuiltModel(model.eval(), options, notes)


@contextmanager
def seed_random_weights() -> Iterator[None]:
    """Inside it, random weights are the same each time; outside, random numbers go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        yield


def merge_states(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all of them."""
    return {f"{key}.{name}": tensor for key, state in states.items() for name, tensor in state.items()}


def limit_memory(tensors: Mapping[str, Tensor] | None, what: str) -> MemoryLimit:
    """The limit on what the model may take while it is built, by the tensors that it should hold."""
    most = _RANDOM_BYTES if tensors is None else _most_bytes(tensors)
    return MemoryLimit(most, _make_error(what, most))


def require_memory(size: int, tensors: Mapping[str, Tensor], what: str) -> None:
    """Raises CheckpointError where a model of so many bytes is beyond that limit."""
    most = _most_bytes(tensors)
    if size > most:
        raise _make_error(what, most)


def count_meta_bytes(model: nn.Module) -> int:
    """The bytes of the model's tensors, also of those that are on the meta device."""
    tensors = {id(tensor): tensor for each in (model.parameters, model.buffers) for tensor in each()}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _most_bytes(tensors: Mapping[str, Tensor]) -> int:
    return _TIMES * count_bytes(tensors.values()) + _BEYOND


def _make_error(what: str, most: int) -> CheckpointError:
    return CheckpointError(f"{what} takes more than {most} bytes as it is built; does it fit the weights?")


def _find_states(request: LibraryRequest) -> dict[str, dict[str, Tensor]] | None:
    """Each state_dict in the user's file by its keys; None for random weights. Raises CheckpointError."""
    if request.weights is None:
        return None
    content: Any = read_weights(request.weights)
    if is_checkpoint(content):
        raise CheckpointError(
            f"`{request.weights}` is a checkpoint of adaptive_act.save, which names its model itself: give "
            "it alone, without the library's name"
        )
    return find_states(content, request.weights)


def _choose_state(
    states: Mapping[str, dict[str, Tensor]], model: nn.Module, request: LibraryRequest
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors for the model, under its own names, and what was taken off, in words."""
    assert request.weights is not None
    chosen = unwrap(states, request.state_key, model, request.weights)
    return chosen.tensors, chosen.notes


def count_classes(model: nn.Module, tensors: Mapping[str, Tensor]) -> int | None:
    """How many classes the tensors are for, where only the length of the model's last layers differs."""
    pairs = [
        (value.shape, tensors[name].shape)
        for name, value in model.state_dict().items()
        if name in tensors and value.shape != tensors[name].shape
    ]
    if not pairs or not all(old and new and old[1:] == new[1:] for old, new in pairs):
        return None
    lengths = {(old[0], new[0]) for old, new in pairs}
    return lengths.pop()[1] if len(lengths) == 1 else None


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], what: str, path: Path) -> None:
    """The model has the tensors, in float32. Raises CheckpointError where they are another model's."""
    expected = model.state_dict()
    missing = [name for name in expected if name not in tensors]
    foreign = [name for name in tensors if name not in expected]
    if expected and len(missing) == len(expected):
        raise CheckpointError(
            f"`{path}` does not fit {what}: none of its names is the model's; it has `{foreign[0]}`"
            f"{_count_more(foreign)}, expected `{missing[0]}`{_count_more(missing)}"
        )
    try:
        model.load_state_dict(dict(tensors))
    except BUILD_ERRORS as error:
        reason = " ".join(str(error).split())[:600]
        raise CheckpointError(f"`{path}` does not fit {what}: {reason}") from error


def _count_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
