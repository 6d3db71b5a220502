"""The kinds of file that a model comes from, a file each: what it holds becomes a `Source`."""
