"""The kinds of file that a model comes from, one module each: its content becomes a `Source`."""
