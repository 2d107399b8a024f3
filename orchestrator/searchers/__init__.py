"""Which configurations are tried: a grid, by chance, or by an Optuna sampler over the ranges of a space."""
