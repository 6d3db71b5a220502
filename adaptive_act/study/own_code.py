"""Code of the user's own: a training loop in place of the built-in one, and what identifies such code.

A loop is called as `loop(model, train, validation, *, lr, seed, training, on_epoch)`:

- `model` is the network with its activation in place, on the CPU; the loop trains it in place.
- `train` and `validation` are `TensorDataset`s of standardised samples and targets.
- `lr` is the learning rate to train at, `seed` the run's; torch is seeded with it already.
- `training` holds the other options: epochs, batch, optimizer and so on.
- `on_epoch(loss)` may be called after each epoch with its training loss, for the learning curves.

It returns nothing. A `DivergedError`, as a `Guard` raises, ends the run as diverged.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from adaptive_act.checkpoint.factory import resolve_factory
from adaptive_act.errors import DivergedError, StudyError
from adaptive_act.study.data import Dataset, LabelledTensors
from adaptive_act.study.specs import Training

Loop = Callable[..., object]
OPTIONS = ("lr", "seed", "training", "on_epoch")


def resolve_loop(name: str) -> Loop:
    """The function `name`, written "package.module:function".

    Raises FactoryError where it cannot be imported, and StudyError where it does not take what it is given.
    """
    loop: Loop = resolve_factory(name, trusted=True)
    wanted = f"(model, train, validation, *, {', '.join(OPTIONS)})"
    try:
        signature = inspect.signature(loop)
        signature.bind(None, None, None, **dict.fromkeys(OPTIONS))
    except (TypeError, ValueError) as error:  # ValueError: it has no signature
        raise StudyError(f"training loop `{name}`: expected a function of {wanted}, got {error}") from error
    return loop


def run_own_loop(
    model: nn.Module,
    data: Dataset,
    training: Training,
    lr: float,
    seed: int,
    on_epoch: Callable[[float], object],
) -> str | None:
    """Trains `model` in place by the user's loop, and says how it diverged; None where it did not.

    Raises StudyError where the loop did not train it in place, or left it in another kind of numbers.
    """
    assert training.loop is not None
    loop = resolve_loop(training.loop)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"lr": lr, "seed": seed, "training": training, "on_epoch": on_epoch}
    try:
        returned = loop(model, _pair(data.train), _pair(data.validation), **options)
    except DivergedError as error:
        return f"stopped by its training loop: {error}"
    if returned is not None:
        raise StudyError(
            f"training loop `{training.loop}`: expected it to train the model in place and return nothing, "
            f"got a `{type(returned).__name__}`"
        )
    return _check_trained(model.cpu(), before, training.loop)


def _pair(samples: LabelledTensors) -> TensorDataset:
    return TensorDataset(samples.x, samples.labels)


def _check_trained(model: nn.Module, before: Mapping[str, Tensor], name: str) -> str | None:
    """How training diverged, by the trained model, or None; raises StudyError where none took place."""
    after = model.state_dict()
    kinds = [{key: (value.dtype, value.shape) for key, value in state.items()} for state in (before, after)]
    if kinds[0] != kinds[1]:
        changed = sorted(key for key in {*before, *after} if kinds[0].get(key) != kinds[1].get(key))
        raise StudyError(
            f"training loop `{name}`: expected the model's tensors in the same dtypes and shapes as before, "
            f"got others in {changed[:5]}"
        )
    parameters = dict(model.named_parameters())
    if all(torch.equal(after[key], before[key]) for key in parameters):
        raise StudyError(
            f"training loop `{name}` left every parameter as it was: expected it to train the `model` it "
            "is given, in place, not a copy"
        )
    is_finite = all(bool(parameter.isfinite().all()) for parameter in parameters.values())
    return None if is_finite else "the weights were not finite after training"


@functools.lru_cache(maxsize=16)
def digest_source(names: tuple[str, ...]) -> str | None:
    """A digest of the source files that define the named callables; None where there are none.

    What these files import is not part of it. Raises FactoryError where one cannot be imported.
    """
    digest = hashlib.sha256()
    for name in names:
        module = inspect.getmodule(resolve_factory(name, trusted=True))
        source = getattr(module, "__file__", None)
        digest.update(Path(source).read_bytes() if source else b"")
    return digest.hexdigest() if names else None
