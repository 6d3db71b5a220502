"""Observation of requests by either door: the access log, traces, log settings."""
