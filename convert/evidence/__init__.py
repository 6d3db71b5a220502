"""What the stages found: as the manifest's fields, as tables, as a page and as pictures."""
