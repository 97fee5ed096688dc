"""Samplers of the posterior over sources given a mix, one a file; all take any prior with a score."""
