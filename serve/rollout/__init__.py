"""Experiments on the requests of one server: who answers, what is noted, when a stage changes."""
