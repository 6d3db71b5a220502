"""The servers that `benchmarks.serving` compares, how each is started, and the load that they get."""
