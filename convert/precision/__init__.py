"""Fewer bits than float32: what is rounded, what is left, and by which budgets the result is judged."""
