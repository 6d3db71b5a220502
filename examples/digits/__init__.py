"""Handwritten digits, from training to predictions over HTTP: `make demo`."""
