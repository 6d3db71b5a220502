"""Training with activations that learn: their own learning rate, no weight decay."""

from adaptive_act.training.groups import parameter_groups

__all__ = ["parameter_groups"]
