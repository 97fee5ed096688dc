"""What the notebooks are started, run and shown with, and the README's tables."""
