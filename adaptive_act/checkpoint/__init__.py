"""Models on disk: saved and loaded without running code from the file."""
