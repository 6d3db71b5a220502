"""One small program a server, run by that server's own Python; each serves the same two models."""
