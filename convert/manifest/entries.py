"""The entries of a model's `metadata_props` that convert writes and a server reads.

A module without imports: a server that checks no manifests reads it at almost no cost.
"""

MANIFEST_KEY = "adaptact.manifest"
LARGEST_MANIFEST = 32 * 2**20  # characters
SIGNATURE_KEY = "adaptact.signature"
DESCRIPTION_KEY = "adaptact.description"
LARGEST_DESCRIPTION = 32 * 2**20  # characters
BASELINE_KEY = "adaptact.baseline"
"""In a file that got its baseline after it was written; it goes before the manifest's."""
LARGEST_BASELINE = 8 * 2**20  # characters
