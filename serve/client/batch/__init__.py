"""`adaptact predict`: a model's answers for a whole file, batch by batch, kept as they come."""
