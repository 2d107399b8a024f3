"""The regression gate: whether a night is worse than the champion and the nights before, beyond their noise."""
