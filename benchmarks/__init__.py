"""The benchmarks behind the numbers in the README; each script prints a table and writes JSON."""
