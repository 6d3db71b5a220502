"""Which of several exact forms each place of a graph takes: by a table, or by measuring the whole model."""
