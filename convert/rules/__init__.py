"""RULES: every rewrite rule, in the order in which they are tried; a new one is a file and a line here."""

from convert.rewriting import Rule
from convert.rules import (
    division_to_multiplication,
    elu_to_exp,
    mish_to_sigmoid,
    neutral_to_nothing,
    power_to_product,
    prelu_to_leakyrelu,
    prelu_to_relu,
    relu_min_to_prelu,
    scale_into_next,
    scale_into_previous,
    scale_past_pooling,
    shift_into_next,
    shift_into_previous,
    softplus_threshold_to_softplus,
    softplus_to_log,
    where_to_prelu,
)

RULES: tuple[Rule, ...] = (
    # what the exporter leaves behind
    neutral_to_nothing.RULE,
    softplus_threshold_to_softplus.RULE,
    where_to_prelu.RULE,
    relu_min_to_prelu.RULE,
    prelu_to_leakyrelu.RULE,
    # scales and shifts, before the forms below hide the activations between them
    scale_into_previous.RULE,
    shift_into_previous.RULE,
    shift_into_next.RULE,
    scale_past_pooling.RULE,
    scale_into_next.RULE,
    # the cheapest form of what is left
    division_to_multiplication.RULE,
    power_to_product.RULE,
    prelu_to_relu.RULE,
    elu_to_exp.RULE,
    mish_to_sigmoid.RULE,
    softplus_to_log.RULE,
)
