"""Tests of the paper's analyses."""
