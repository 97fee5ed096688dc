"""Separators without a sampler, one a file: they bound and ground the comparison. `base` has the contract of all."""
