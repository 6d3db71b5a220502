"""Parity: whether a file is as exact as its model, and the layer that differs where it is not."""
