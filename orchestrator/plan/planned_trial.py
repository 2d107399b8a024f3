"""One trial of a search before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Configuration
from trials.config import TrialConfig


@dataclass(frozen=True)
class PlannedTrial:
    """One trial before it starts.

    Attributes:
        number: its place in the grid, from 1, whatever order the trials start in; without a grid they count up.
        parameters: how many numbers it trains.
    """

    number: int
    config: TrialConfig
    parameters: int

    @property
    def identity(self) -> tuple[int, Configuration, int]:
        """What a record knows it by: number, configuration and seed."""
        return self.number, dict(self.config.hyperparameters), self.config.seed
