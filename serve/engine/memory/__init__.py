"""A budget of memory for all models: which are loaded, which make room, and when they come back."""
