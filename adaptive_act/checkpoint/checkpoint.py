"""`model.pt`: a state_dict and the description from which its model is built again; never a pickled model."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.checkpoint.archive import read_archive, write_archive
from adaptive_act.checkpoint.description import FORMAT, TensorSpec, read_document, require_json
from adaptive_act.checkpoint.factory import (
    BUILD_ERRORS,
    Factory,
    build_model,
    factory_name,
    is_marked,
    resolve_factory,
)
from adaptive_act.checkpoint.memory_limit import MemoryLimit, count_bytes
from adaptive_act.checkpoint.state import load_state, read_state
from adaptive_act.errors import CheckpointError, SwapError
from adaptive_act.site import Site
from adaptive_act.swapping.install import install

# What building may take for tensors at once: so many times the file's own, since a factory may copy what it
# builds, and bytes beyond that for what a state_dict leaves out, such as masks.
_TIMES = 4
_BEYOND = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved model, in evaluation mode, and its description from the file."""

    model: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None
    factory: str = ""
    swap: tuple[Site, ...] = ()
    factory_kwargs: Mapping[str, Any] = field(default_factory=dict)


def save(  # noqa: PLR0913  # each argument is a field of the file
    model: nn.Module,
    path: str | Path,
    *,
    factory: str | Factory,
    inputs: Sequence[Mapping[str, Any] | TensorSpec],
    factory_kwargs: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Writes `model` to `path` such that `load` gives it back; the file appears whole or not at all.

    `factory` builds the architecture before the swap, as "package.module:callable" or as the callable, from
    `factory_kwargs`; it is called here once, to prove that the file can be loaded. `inputs` are mappings
    with name, dtype and shape (None = free size). Raises CheckpointError where `load` would refuse the file,
    and ValueError where an input is not described or a value is not of JSON.
    """
    state = read_state(model)
    kwargs = dict(factory_kwargs or {})
    name = factory_name(factory)
    builder = resolve_factory(name, trusted=True)
    if not is_marked(builder):
        warnings.warn(
            f"`{name}` is not marked with `@adaptive_act.model_factory`: whoever loads the file must name it",
            stacklevel=2,
        )
    document: dict[str, Any] = {
        "format": FORMAT,
        "state_dict": state,
        "factory": name,
        "factory_kwargs": kwargs,
        "swap": [site.record() for site in _find_sites(model)],
        "inputs": [asdict(s if isinstance(s, TensorSpec) else TensorSpec.of(s)) for s in inputs],
        "outputs": None if outputs is None else list(outputs),
        "classes": None if classes is None else list(classes),
        "preprocessing": None if preprocessing is None else dict(preprocessing),
    }
    described = {key: value for key, value in document.items() if key != "state_dict"}
    require_json(described, f"the description of `{path}`")
    read_document(document, str(path))
    built, _ = _build(document, builder, kwargs, str(path))
    _require_precision(built, state)
    write_archive(document, Path(path))


def load(
    path: str | Path, factory: str | Factory | None = None, factory_kwargs: Mapping[str, Any] | None = None
) -> Checkpoint:
    """The model that `save` wrote to `path`, in evaluation mode, and its description.

    No code from the file runs. The architecture comes from `factory` where the user gives one, else from the
    factory that the file names, if that is an `nn.Module` class or marked with `@model_factory`.
    Raises CheckpointError where the file is damaged, foreign or does not fit the architecture, and
    FactoryError where the factory is missing or refused.
    """
    return restore(read_archive(Path(path)), str(path), factory, factory_kwargs)


def restore(
    content: object,
    where: str,
    factory: str | Factory | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """What `load` gives, from the file's content as `archive.read` gives it; `where` names it in errors."""
    document = read_document(content, where)
    if factory is None:
        builder = resolve_factory(document["factory"], trusted=False)
    else:
        builder = resolve_factory(factory, trusted=True) if isinstance(factory, str) else factory
    kwargs = document["factory_kwargs"] if factory_kwargs is None else factory_kwargs
    model, sites = _build(document, builder, kwargs, where)
    return Checkpoint(
        model=model.eval(),
        inputs=tuple(TensorSpec.of(fields) for fields in document["inputs"]),
        outputs=None if document["outputs"] is None else tuple(document["outputs"]),
        classes=None if document["classes"] is None else tuple(document["classes"]),
        preprocessing=document["preprocessing"],
        factory=document["factory"],
        swap=sites,
        factory_kwargs=kwargs,
    )


def _require_precision(built: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError where a tensor comes back in another precision, which loses some of it."""
    again = read_state(built)
    name = next((name for name, tensor in state.items() if again[name].dtype != tensor.dtype), None)
    if name is not None:
        raise CheckpointError(
            f"`{name}` is {state[name].dtype} and comes back as {again[name].dtype}, since the model calls "
            "it otherwise than its state_dict does; let the factory give it this dtype"
        )


def _find_sites(model: nn.Module) -> list[Site]:
    """The sites of the model's swapped activations, each once, whatever the number of its names."""
    sites = {a.site.layer: a.site for a in named_activations(model).values() if a.site is not None}
    return list(sites.values())


def _build(
    document: Mapping[str, Any], builder: Factory, kwargs: Mapping[str, Any], where: str
) -> tuple[nn.Module, tuple[Site, ...]]:
    """The architecture from the factory, with the recorded activations and the saved tensors in it."""
    state = document["state_dict"]
    with _limit_memory(state, where):
        model = build_model(builder, kwargs)
        try:
            sites = _read_sites(document["swap"], state)
            install(model, [_make_activation(site) for site in sites])
        except (SwapError, AssertionError, *BUILD_ERRORS) as error:
            raise CheckpointError(
                f"`{where}`: the recorded swap does not fit the architecture: {error}"
            ) from error
    try:
        load_state(model, state)
    except BUILD_ERRORS as error:
        reason = " ".join(str(error).split())  # torch's has a line for each tensor
        raise CheckpointError(f"`{where}`: the tensors do not fit the architecture: {reason}") from error
    return model, sites


def _limit_memory(state: Mapping[str, Tensor], where: str) -> MemoryLimit:
    """The limit on the memory that the model of these tensors may take while it is built."""
    most = _TIMES * count_bytes(state.values()) + _BEYOND
    return MemoryLimit(
        most,
        CheckpointError(
            f"`{where}`: the model that it describes takes more than {most} bytes while it is built, "
            f"{_TIMES} times the tensors in the file and {_BEYOND} more; are the factory and its arguments "
            "those that it was saved with?"
        ),
    )


def _read_sites(records: Sequence[Any], state: Mapping[str, Tensor]) -> tuple[Site, ...]:
    """The sites of the records. Raises ValueError where they are more than the file has tensors for."""
    sites: dict[str, Site] = {}
    for record in records:
        site = Site.from_record(record)
        if sites.setdefault(site.layer, site) != site:
            raise ValueError(f"`{site.layer}` is recorded twice, in different ways")
    if len(sites) > len(state):
        raise ValueError(f"{len(sites)} activations are recorded, for {len(state)} tensors")
    return tuple(sites.values())


def _make_activation(site: Site) -> Activation:
    kind = ACTIVATIONS.get(site.activation)
    if kind is None:
        raise ValueError(
            f"unknown activation `{site.activation}`; this version knows {', '.join(ACTIVATIONS)}"
        )
    activation = kind(site.channels, site.channel_axis, **site.options)
    activation.site = site
    return activation
