"""The separation benchmark: its priors and settings, and the table of its results."""
