"""Searches that were trained whole, kept as curves, and run again under any early stopping in seconds."""
