"""Live values against those of real data in a model's file: what shifts, and by how much; no HTTP."""
