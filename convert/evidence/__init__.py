"""The evidence of a conversion: the manifest's content, and its tables, pages and pictures."""
