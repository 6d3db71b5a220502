"""What comes out of a model: one tensor, several, or a dictionary of them, always read as named tensors."""

from collections.abc import Sequence

from torch import Tensor

from convert.errors import ExportError, UsageError


def named_outputs(result: object, names: Sequence[str] | None) -> dict[str, Tensor]:
    """The tensors that a model returned, by name.

    `names` are the checkpoint's; without them, a dictionary's keys, `output`, or `output_0`, `output_1` ...
    Raises ExportError where something else than tensors came back, and UsageError for a wrong count of names.
    """
    tensors, own = _tensors(result)
    given = list(names) if names is not None else own
    if len(given) != len(tensors):
        raise UsageError(f"the model returns {len(tensors)} outputs, expected {len(given)}: {given}")
    if len(set(given)) != len(given):
        raise UsageError(f"the outputs' names are not distinct: {given}")
    return dict(zip(given, tensors, strict=True))


def _tensors(result: object) -> tuple[list[Tensor], list[str]]:
    if isinstance(result, Tensor):
        return [result], ["output"]
    if isinstance(result, dict):
        return _all_tensors(list(result.values())), [str(key) for key in result]
    if isinstance(result, tuple | list) and result:
        return _all_tensors(list(result)), [f"output_{index}" for index in range(len(result))]
    raise ExportError(
        f"the model returns `{type(result).__name__}`, expected tensors, or a list or dict of them"
    )


def _all_tensors(values: list[object]) -> list[Tensor]:
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) != len(values):
        other = next(value for value in values if not isinstance(value, Tensor))
        raise ExportError(
            f"the model returns a `{type(other).__name__}` among its outputs, expected tensors only"
        )
    return tensors
