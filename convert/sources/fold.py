"""The second stage: learned parameters become constants."""

from torch import nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.swapping.copying import copy_model


def fold(model: nn.Module) -> nn.Module:
    """A copy of the model in which every adaptive activation holds its values as constants.

    An activation under several names is folded once and keeps all its names. The given model is unchanged.
    The copy shares the memory of its weights, so that a large model fits: replace weights, but do not write
    into them.
    """
    folded = copy_sharing_parameters(model).eval().requires_grad_(False)
    if isinstance(folded, Activation):
        return folded.folded()
    twins: dict[Activation, Activation] = {}
    for name, activation in named_activations(folded).items():
        if activation not in twins:
            twins[activation] = activation.folded()
        parent, _, child = name.rpartition(".")
        setattr(folded.get_submodule(parent), child, twins[activation])
    return folded


def copy_sharing_parameters(model: nn.Module) -> nn.Module:
    """A copy that shares the memory of the parameters. Buffers are copied: a forward may write them."""
    # The list keeps them alive until the copy is made: `known` has them by id, and some modules create
    # their parameters on access.
    parameters = [parameter for parameter in model.parameters() if type(parameter) is nn.Parameter]
    known = {id(own): nn.Parameter(own.detach(), requires_grad=False) for own in parameters}
    return copy_model(model, known)
