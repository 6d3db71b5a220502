"""The second stage: learned parameters become constants."""

import copy

from torch import nn

from adaptive_act.activation import Activation, named_activations


def fold(model: nn.Module) -> nn.Module:
    """A copy of the model in which every adaptive activation holds its values as constants.

    An activation that stands under several names is folded once and stands under all of them again. The
    given model is left as it is. The copy has its weights in the same memory, so that a large model fits
    twice: put others in their place, but do not write into them.
    """
    folded = _copied(model).eval().requires_grad_(False)
    if isinstance(folded, Activation):
        return folded.folded()
    twins: dict[Activation, Activation] = {}
    for name, activation in named_activations(folded).items():
        if activation not in twins:
            twins[activation] = activation.folded()
        parent, _, child = name.rpartition(".")
        setattr(folded.get_submodule(parent), child, twins[activation])
    return folded


def _copied(model: nn.Module) -> nn.Module:
    """The model anew, but for the memory of its parameters. Buffers are copied: a forward may write them."""
    # A list, to live until the copy is made: the memo knows them by id, and some modules make them anew.
    parameters = [one for one in model.parameters() if type(one) is nn.Parameter]
    memo = {id(one): nn.Parameter(one.detach(), requires_grad=False) for one in parameters}
    return copy.deepcopy(model, memo)
