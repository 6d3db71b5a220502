"""Where models come from besides a folder: a source is copied into a models folder, which is then served."""
