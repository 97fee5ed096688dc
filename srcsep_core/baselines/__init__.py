"""Separation without generative priors of single sources: baselines that bound and ground the comparison."""
