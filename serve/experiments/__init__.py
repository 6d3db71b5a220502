"""Experiments on models: who is answered by which, what is recorded, what it shows; no HTTP."""
