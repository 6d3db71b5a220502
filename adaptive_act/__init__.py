"""Trainable activations for PyTorch."""
