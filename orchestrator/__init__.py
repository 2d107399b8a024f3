"""Who trains what, when and where: one command, one search. No tensor is touched here."""
