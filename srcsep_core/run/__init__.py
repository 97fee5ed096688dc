"""What is made from what, and the making of it: steps, the store of artefacts, profiles."""
