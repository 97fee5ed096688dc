"""Published numbers beside ours: comparison, tables over all priors, and the claims that they settle."""
