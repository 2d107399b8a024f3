"""How rows lie in one pass: their order, length and packing, and random numbers that do not depend on it."""
