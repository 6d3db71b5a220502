"""What variants must have in common: disjoint ranges of a group, and models with the same signature."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from serve.engine.errors import quote, quote_names
from serve.experiments.definition import Experiment
from serve.experiments.errors import DefinitionError, IncompatibleVariantsError, Mistake


class TensorDescription(NamedTuple):
    """An input or output of a model; None in the shape for a size that is free."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]


class SignatureDescription(NamedTuple):
    """A model's inputs and outputs."""

    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]


def require_compatible(control: SignatureDescription, candidate: SignatureDescription) -> None:
    """The candidate takes whatever the control takes, and its outputs have equal names and datatypes.

    The order does not matter, since tensors go by their names. A size that is free in the candidate stands
    for any; one that is free in the control's outputs only says that it is not known beforehand. Raises
    `IncompatibleVariantsError`, which names the first difference.
    """
    _compare("input", control.inputs, candidate.inputs)
    _compare("output", control.outputs, candidate.outputs)


def require_separate(experiments: Sequence[Experiment]) -> None:
    """No two experiments share a name, a model, or a part of a group's range; raises `DefinitionError`."""
    found = [mistake for pair in combinations(experiments, 2) for mistake in _find_conflicts(*pair)]
    if found:
        raise DefinitionError(found)


def _find_conflicts(one: Experiment, other: Experiment) -> list[Mistake]:
    """What keeps two experiments from running at the same time."""
    who = f"experiment {quote(one.name)}"
    if one.name == other.name:
        return [Mistake(other.name, "a name of its own", f"{quote(other.name)} again")]
    ranges = one.exclusion, other.exclusion
    if ranges[0] and ranges[1] and ranges[0].group == ranges[1].group:
        (low, high), (start, end) = ((each.from_percent, each.to_percent) for each in ranges if each)
        if start < high and low < end:
            expected = f"a range outside {low:g} to {high:g} %, which {who} has in that group"
            return [Mistake(f"{other.name}.exclusion", expected, f"{start:g} to {end:g} %")]
    elif one.model == other.model:
        hint = f"give both an `exclusion` with the same group, or stop {who} first"
        expected = f"another range of one group, since {who} has the same model {quote(one.model)}"
        return [Mistake(f"{other.name}.exclusion", expected, "none in common", hint)]
    return []


def _compare(
    what: Literal["input", "output"],
    control: tuple[TensorDescription, ...],
    candidate: tuple[TensorDescription, ...],
) -> None:
    """Raises at the first tensor that one has and the other has not, or not alike."""
    theirs = {tensor.name: tensor for tensor in candidate}
    for tensor in control:
        name = f"{what} {quote(tensor.name)}"
        other = theirs.pop(tensor.name, None)
        if other is None:
            names = quote_names([each.name for each in candidate])
            raise _difference(name, "to be there", f"only {names}")
        if other.datatype != tensor.datatype:
            raise _difference(f"the datatype of {name}", quote(tensor.datatype), quote(other.datatype))
        if not _fits(tensor.shape, other.shape, is_free=what == "output"):
            raise _difference(f"the shape of {name}", _show(tensor.shape), _show(other.shape))
    for name in theirs:
        names = quote_names([each.name for each in control])
        raise _difference(f"the {what}s", f"no more than {names}", f"{quote(name)} too")


def _fits(control: tuple[int | None, ...], candidate: tuple[int | None, ...], *, is_free: bool) -> bool:
    """Whether all sizes agree; `is_free` says whether a free size of the control fits a fixed one."""
    return len(control) == len(candidate) and all(
        one == other or other is None or (is_free and one is None)
        for one, other in zip(control, candidate, strict=True)
    )


def _difference(what: str, expected: str, got: str) -> IncompatibleVariantsError:
    return IncompatibleVariantsError(
        f"the candidate's model cannot stand in for the control's: {what}: expected {expected}, got {got}"
    )


def _show(shape: tuple[int | None, ...]) -> str:
    """The shape in the protocol's form: -1 for a size that is free."""
    return f"`{[-1 if size is None else size for size in shape]}`"
