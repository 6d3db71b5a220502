"""Everything that is tested, in the shape of the source tree."""
