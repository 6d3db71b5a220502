"""What all workers of one server share: a channel, numbers, metrics, and an engine that changes together."""
