"""What experiments remember: definitions, exposures, inferences, outcomes, in SQLite or PostgreSQL."""
