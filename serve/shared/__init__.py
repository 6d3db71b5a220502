"""What the workers of one server share: channels, memory, metrics, and an engine that changes together."""
