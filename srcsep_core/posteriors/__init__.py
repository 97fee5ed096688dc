"""Posteriors of the sources given their mix that are learned or fitted, and what they are made of."""
