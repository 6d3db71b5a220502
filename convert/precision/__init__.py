"""Fewer bits than float32: rounding, the sites that stay in float, and the gate that judges the result."""
