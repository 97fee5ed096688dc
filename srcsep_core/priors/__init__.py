"""Generative priors of one source each: `log_prob`, `score`, `sample`."""
