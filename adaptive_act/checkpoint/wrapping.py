"""A state_dict as training leaves it: among other things in its file, and with prefixes before its names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from torch import Tensor, nn

from adaptact.errors import UsageError
from adaptive_act.checkpoint.state import is_state, require_state

DEEPEST = 3  # dictionaries around a state_dict
MOST_SHOWN = 8
_WRAPPERS = ("module", "_orig_mod")
"""The names that DataParallel, or AveragedModel, and torch.compile give to the model within them."""
_COUNTER = "n_averaged"
"""Of AveragedModel, beside the averaged weights."""
_COMMON = 2  # names before all others, as a trainer gives to the model that it holds


@dataclass(frozen=True, slots=True)
class UnwrappedState:
    """The tensors under the names that the model has for them, and what was taken off, in words."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def find_states(content: object, path: Path) -> dict[str, dict[str, Tensor]]:
    """Each state_dict in the content of the file, by its keys joined by dots; the content itself by "".

    A model without tensors has an empty one. Raises CheckpointError where there is none.
    """
    states = dict(_walk_states(content, "", 0))
    return states or {"": content if is_state(content) else require_state(content, str(path))}


def unwrap(
    states: Mapping[str, dict[str, Tensor]], key: str | None, model: nn.Module, path: Path
) -> UnwrappedState:
    """The one of the states that belongs to the model.

    `key` is the user's choice, as `ema` or `ema.shadow`. Without it the only state is taken, or the only one
    that fits. Raises UsageError where the user must choose.
    """
    chosen = _choose(states, key, model, path)
    unwrapped = match_names(states[chosen], model)
    notes = (f"taken from `{chosen}`",) if chosen else ()
    return UnwrappedState(unwrapped.tensors, (*notes, *unwrapped.notes))


def match_names(state: Mapping[str, Tensor], model: nn.Module) -> UnwrappedState:
    """The state under the names, of those that it has within its wrappers, that are most the model's own.

    A tensor that the state lacks, and the model shares with one that it has, is added.
    """
    expected = dict(model.state_dict(keep_vars=True))
    forms = list(_list_forms(state, expected))
    best = max(forms, key=lambda form: len(form.tensors.keys() & expected.keys()))
    added = dict(_find_shared(best.tensors, expected))
    notes = tuple(f"`{name}` is `{other}`, with which the model shares it" for name, other in added.items())
    tensors = best.tensors | {name: best.tensors[other] for name, other in added.items()}
    return UnwrappedState(tensors, (*best.notes, *notes))


def _walk_states(content: object, key: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if is_state(content):
        if content:
            yield key, content
    elif isinstance(content, dict) and depth < DEEPEST:
        for name, value in content.items():
            if isinstance(name, str):
                yield from _walk_states(value, f"{key}.{name}" if key else name, depth + 1)


def _choose(states: Mapping[str, dict[str, Tensor]], key: str | None, model: nn.Module, path: Path) -> str:
    names = ", ".join(f"`{name}`" for name in list(states)[:MOST_SHOWN])
    if key is not None:
        if key not in states:
            held = "is one state_dict as a whole" if "" in states else f"holds {names}"
            raise UsageError(f"`{path}` has no state_dict under `{key}`; it {held}")
        return key
    fitting = [name for name, state in states.items() if len(states) > 1 and _fits(state, model)]
    if len(states) == 1 or len(fitting) == 1:
        return (fitting or list(states))[0]
    several = f"{len(fitting)} of which fit the model" if fitting else "none of which fits the model"
    raise UsageError(
        f"`{path}` holds {len(states)} state_dicts ({names}), {several}",
        hint=f"choose one: --state-key {(fitting or list(states))[0]}",
    )


def _fits(state: Mapping[str, Tensor], model: nn.Module) -> bool:
    """Whether these are the model's tensors, by names and shapes."""
    tensors, expected = match_names(state, model).tensors, model.state_dict()
    return tensors.keys() == expected.keys() and all(
        not isinstance(value, Tensor) or value.shape == tensors[name].shape
        for name, value in expected.items()
    )


def _list_forms(state: Mapping[str, Tensor], expected: Mapping[str, object]) -> Iterator[UnwrappedState]:
    """The state with ever more taken off its names, where they stay distinct; first the state itself."""
    counted = _COUNTER in state and _COUNTER not in expected
    kept = {name: tensor for name, tensor in state.items() if not (counted and name == _COUNTER)}
    for removed in product((False, True), repeat=len(_WRAPPERS)):
        wrappers = [wrapper for wrapper, chosen in zip(_WRAPPERS, removed, strict=True) if chosen]
        names = [_drop_components(name, wrappers) for name in kept]
        prefix: list[str] = []
        for _ in range(_COMMON + 1):
            if len(set(names)) == len(names):
                notes = [f"`{part}.` removed from its names" for part in (*wrappers, *prefix)]
                notes += [f"`{_COUNTER}` left out"] if counted else []
                yield UnwrappedState(dict(zip(names, kept.values(), strict=True)), tuple(notes))
            first = {name.partition(".")[0] for name in names}
            if len(first) != 1 or not all("." in name for name in names):
                break
            prefix += first
            names = [name.partition(".")[2] for name in names]


def _drop_components(name: str, components: Sequence[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in components)


def _find_shared(tensors: Mapping[str, Tensor], expected: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each missing name with the name, in the state, of the same tensor of the model."""
    own = {name: tensor for name, tensor in expected.items() if isinstance(tensor, Tensor)}
    present = {id(tensor): name for name, tensor in own.items() if name in tensors}
    for name, tensor in own.items():
        if name not in tensors and id(tensor) in present:
            yield name, present[id(tensor)]
