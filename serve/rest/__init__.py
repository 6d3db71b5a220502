"""The HTTP door: a route parses, calls the engine, and answers."""
