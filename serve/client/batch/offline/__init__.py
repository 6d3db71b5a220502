"""Predictions by a model's file, without a server: in this process, or on the machines of a cluster."""
