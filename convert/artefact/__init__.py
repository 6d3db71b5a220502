"""The file that is written: whole or not at all, its weights, its signature, and Triton's description."""
