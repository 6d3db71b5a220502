"""Tuning: of several exact forms at each place of a graph, the fastest, timed in the whole model."""
