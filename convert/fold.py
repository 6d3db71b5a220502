"""The second stage: learned parameters become constants."""

import copy

from torch import nn

from adaptive_act.activation import Activation, named_activations


def fold(model: nn.Module) -> nn.Module:
    """A copy of the model in which every adaptive activation holds its values as constants.

    An activation that stands under several names is folded once and stands under all of them again. The
    given model is left as it is, and the copy shares nothing with it.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(folded, Activation):
        return folded.folded()
    twins: dict[Activation, Activation] = {}
    for name, activation in named_activations(folded).items():
        if activation not in twins:
            twins[activation] = activation.folded()
        parent, _, child = name.rpartition(".")
        setattr(folded.get_submodule(parent), child, twins[activation])
    return folded
