"""What the numbers in the README come from; each script prints a table and writes JSON."""
