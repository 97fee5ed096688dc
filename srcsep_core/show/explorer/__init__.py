"""The explorer for notebooks: set up a mix, watch the chain of a sampler move, hear what came out."""
