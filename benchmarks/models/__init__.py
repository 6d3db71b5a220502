"""Networks that people serve, from their papers, with random weights."""
