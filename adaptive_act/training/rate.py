"""A factor on learning rates that leaves them to whoever schedules them."""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

SCHEDULED = "scheduled_lr"
"""Where a group keeps its own rate while it steps at another."""


class Rate:
    """A factor on the learning rate of some groups, in force only while `optimizer` steps.

    Between steps the groups show the rates that were given to them, so a scheduler that recomputes rates
    from where they began neither undoes the factor nor compounds it. Several factors on one group multiply.
    """

    def __init__(self, optimizer: Optimizer, groups: Sequence[int]) -> None:
        self.factor = 1.0
        self._optimizer, self._groups = optimizer, groups
        self._handles = [
            optimizer.register_step_pre_hook(self._apply),
            optimizer.register_step_post_hook(self._restore),
        ]

    def close(self) -> None:
        """Ends the factor's effect, also in a step that an error broke off."""
        for handle in self._handles:
            handle.remove()
        self._restore(self._optimizer)

    def _apply(self, optimizer: Optimizer, *_: Any) -> None:
        for group in self._chosen(optimizer):
            group.setdefault(SCHEDULED, group["lr"])
            group["lr"] = group["lr"] * self.factor

    def _restore(self, optimizer: Optimizer, *_: Any) -> None:
        for group in self._chosen(optimizer):
            # Whichever factor's turn comes first puts back the rate from before them all.
            if SCHEDULED in group:
                group["lr"] = group.pop(SCHEDULED)

    def _chosen(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        return [optimizer.param_groups[index] for index in self._groups]
