"""One copy of each model's weights for all workers of a machine: files that each of them maps."""
