"""Signals: what the priors are trained on and what they are tested with."""
