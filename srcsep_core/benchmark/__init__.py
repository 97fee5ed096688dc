"""The separation benchmark: its settings, the table of its results, and their figures."""
