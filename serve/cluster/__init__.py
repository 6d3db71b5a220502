"""Replicas of the server on the machines of a Ray cluster, and the proxy that follows them."""
