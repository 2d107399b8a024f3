"""Picks the winner of a search, judges how sure that is, and writes the tables. Works on saved records alone."""

from orchestrator.record.selection import Choice, choose_winner
from orchestrator.summarizer.summary import terminal, write_summary

__all__ = ["Choice", "choose_winner", "terminal", "write_summary"]
