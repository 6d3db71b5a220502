"""Runnable examples; each is tested."""
