"""What each learned activation decides: how the model's answers change when it is put back to its start."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptact.languages.catalogue import mark
from adaptive_act.activation import Activation
from adaptive_act.errors import ExplainError
from adaptive_act.explain.arrays import Counts, Flags, Numbers
from adaptive_act.explain.intervals import (
    Interval,
    bootstrap_means,
    mcnemar_p,
    newcombe_interval,
    wilson_interval,
)
from adaptive_act.explain.reach import to_device
from adaptive_act.explain.start import StartedActivation, find_starts, match_device
from adaptive_act.swapping.outputs import Example, run_model

LabelledBatch = tuple[Example, Tensor]
"""The model's arguments, and the class of each sample, [n]."""

ALL = mark("all layers")


@dataclass(frozen=True, slots=True)
class Change:
    """How answers change on `samples` samples when an activation is put back; losses are below 0.

    `accuracy` is a difference of shares, `loss` of mean cross-entropies in nats, both put back less learned;
    `changed` is the share of predictions that become others; `p` is McNemar's, of the accuracy.
    """

    samples: int
    accuracy: Interval
    loss: Interval
    changed: Interval
    p: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The change that one layer, or all of them together, make: over all samples, and for each class."""

    layer: str
    origin: str
    change: Change
    by_class: tuple[Change | None, ...]
    """None for a class of which there are no samples."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The learned model's accuracy and loss, and their changes when each layer, or all, are put back."""

    samples: int
    accuracy: Interval
    loss: Interval
    classes: tuple[str, ...]
    together: Decision
    layers: tuple[Decision, ...]

    @property
    def rows(self) -> tuple[Decision, ...]:
        """The layers, and then all of them together."""
        return *self.layers, self.together


@dataclass(frozen=True, slots=True)
class _Predictions:
    """A model's answer to each sample: the class, and the cross-entropy with the label."""

    labels: Counts
    predicted: Counts
    loss: Numbers
    classes: int


def decide(
    model: nn.Module,
    batches: Iterable[LabelledBatch],
    *,
    classes: Sequence[str] | None = None,
    starts: Mapping[str, Activation] | None = None,
    seed: int = 0,
    passed: Callable[[], None] = lambda: None,
) -> Decisions:
    """Runs a classifier on labelled batches as it is, with each activation put back to its start, and all.

    The first output of the model is the logits, [n, classes]; of one column, the logit of class 1 against
    class 0. `starts` is as in `places`; `seed` draws the bootstrap. The model runs in evaluation mode and is
    not changed. It takes two passes more than there are activations; `passed` is called after each pass.

    Raises ExplainError where outputs or labels are not a classifier's or the batches change their order, and
    TypeError where they can be gone through only once.
    """
    if isinstance(batches, Iterator):
        raise TypeError("`batches` is gone through many times: pass a list or a DataLoader, not an iterator")
    activations = find_starts(model, starts)
    learned = _run_classifier(model, batches, passed)
    others = []
    for chosen in (*((activation,) for activation in activations), activations):
        with restore_starts(chosen):
            others.append(_run_classifier(model, batches, passed))
        if not np.array_equal(others[-1].labels, learned.labels):
            raise ExplainError("the batches came in another order when repeated: pass shuffle=False")
    titles = [
        *((activation.layer, activation.start.origin) for activation in activations),
        (ALL, "their starts"),
    ]
    *single, together = _compare_models(titles, learned, others, seed)
    return Decisions(
        samples=len(learned.labels),
        accuracy=wilson_interval(int((learned.predicted == learned.labels).sum()), len(learned.labels)),
        loss=bootstrap_means(learned.loss[:, None], seed)[0],
        classes=_name_classes(classes, learned.classes),
        together=together,
        layers=tuple(single),
    )


@contextmanager
def restore_starts(chosen: Iterable[StartedActivation]) -> Iterator[None]:
    """Within the block, these activations answer as at their start; the modules stay in the model."""
    hooks = [place.activation.register_forward_hook(_make_start_hook(place)) for place in chosen]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _make_start_hook(place: StartedActivation) -> Callable[[nn.Module, tuple[Any, ...], Any], Tensor]:
    start = match_device(copy.deepcopy(place.start.activation), place.activation)

    def hook(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> Tensor:
        answer: Tensor = start(*inputs)
        return answer

    return hook


def _run_classifier(
    model: nn.Module, batches: Iterable[LabelledBatch], passed: Callable[[], None]
) -> _Predictions:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    labels, predicted, losses, width = [], [], [], 0
    for inputs, batch_labels in batches:
        example = to_device(tuple(inputs) if isinstance(inputs, list) else inputs, device)
        logits, right = _check_classification(run_model(model, example)[0].cpu(), batch_labels.cpu())
        labels.append(right)
        predicted.append(logits.argmax(1))
        losses.append(F.cross_entropy(logits, right, reduction="none"))
        width = logits.shape[1]
    if not labels:
        raise ExplainError("there are no batches: give at least one with its labels")
    passed()
    return _Predictions(
        labels=torch.cat(labels).numpy(),
        predicted=torch.cat(predicted).numpy(),
        loss=torch.cat(losses).numpy(),
        classes=width,
    )


def _check_classification(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits [n, 2 or more] and the labels as whole numbers, of one batch."""
    whole = not labels.is_floating_point() and not labels.is_complex()
    if logits.dim() != 2 or labels.dim() != 1 or len(labels) != len(logits) or not whole:
        raise ExplainError(
            f"expected logits [n, classes] and whole-numbered labels [n], got {list(logits.shape)} and "
            f"{list(labels.shape)} of {labels.dtype}: decisions are measured on classifiers"
        )
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    numbers = labels.long()  # torch cannot compare unsigned ones; the largest come to be below 0
    wrong = labels[(numbers < 0) | (numbers >= logits.shape[1])]
    if len(wrong):
        raise ExplainError(
            f"expected labels from 0 to {logits.shape[1] - 1}, as the model has outputs, got {int(wrong[0])}"
        )
    return logits, numbers


def _name_classes(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of the classes; their numbers where none are given."""
    if classes is None:
        return tuple(map(str, range(count)))
    if len(classes) != count:
        raise ExplainError(
            f"expected the names of {count} classes, as the model has outputs, got {len(classes)}"
        )
    return tuple(classes)


def _compare_models(
    titles: Sequence[tuple[str, str]], learned: _Predictions, others: Sequence[_Predictions], seed: int
) -> list[Decision]:
    """A decision for each of `others`, under its title: layer and origin."""
    subsets = [np.flatnonzero(learned.labels == label) for label in range(learned.classes)]
    whole = _measure_changes(learned, others, np.arange(len(learned.labels)), seed)
    by_class = [
        _measure_changes(learned, others, subset, seed) if len(subset) else [None] * len(others)
        for subset in subsets
    ]
    return [
        Decision(layer, origin, change, classes)
        for (layer, origin), change, classes in zip(titles, whole, zip(*by_class, strict=True), strict=True)
    ]


def _measure_changes(
    learned: _Predictions, others: Sequence[_Predictions], chosen: Counts, seed: int
) -> list[Change]:
    """What each of `others` changes on the chosen samples."""
    was = learned.predicted[chosen]
    right = was == learned.labels[chosen]
    losses = bootstrap_means(
        np.stack([(other.loss - learned.loss)[chosen] for other in others], axis=1), seed
    )
    return [
        _measure_change(right, other.predicted[chosen], was, learned.labels[chosen], loss)
        for other, loss in zip(others, losses, strict=True)
    ]


def _measure_change(right: Flags, predicted: Counts, was: Counts, labels: Counts, loss: Interval) -> Change:
    now = predicted == labels
    gained, lost = int((now & ~right).sum()), int((right & ~now).sum())
    both, neither = int((now & right).sum()), int((~now & ~right).sum())
    return Change(
        samples=len(labels),
        accuracy=newcombe_interval(gained, lost, both, neither),
        loss=loss,
        changed=wilson_interval(int((predicted != was).sum()), len(labels)),
        p=mcnemar_p(gained, lost),
    )
