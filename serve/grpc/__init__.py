"""The gRPC door: a verb reads its message, calls the engine, and answers."""
