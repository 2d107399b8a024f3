"""What the files of methods are made of: declaration, hyperparameters, registry; `module` alone needs torch."""
