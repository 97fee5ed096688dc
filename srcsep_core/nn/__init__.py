"""Neural networks that the flows and priors are built from."""
