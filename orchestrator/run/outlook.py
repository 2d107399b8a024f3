"""Says once in a search that nothing is learnt in it, and offers to end it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from orchestrator.command_lines import command_line
from orchestrator.record import formats
from orchestrator.record.record import SearchRecord, is_finite
from orchestrator.schedulers.outlook import TAKE_OFFS, lateness, take_off, threshold
from yaml_reader.home import from_home

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan

log = logging.getLogger(__name__)


class Outlook:
    """Looks at a search's record whenever it is written down, until a trial has taken off or it has said so.

    Where the score of the constant best answer or the number of examples is not known, it has nothing to say.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._reports = 0
        self._open = True

    def look(self, record: SearchRecord) -> None:
        """Log it if it is so by now, and has not been said."""
        constant, examples = record.majority.get("validation"), record.sizes.get("validation")
        if not self._open or constant is None or not examples:
            return
        own = record.own_trials
        reports = sum(len(trial.reports) for trial in own)
        if reports == self._reports:
            return
        self._reports = reports
        least = threshold(constant, examples, record.metric)
        trials = [
            [(one["step"], float(one["score"]) if is_finite(one.get("score")) else math.nan) for one in trial.reports]
            for trial in own
        ]
        steps = self.plan.training.steps
        if take_off(trials, steps, least) is not None:
            self._open = False  # a long search has many reports, and none takes this back
        elif found := lateness(trials, len(self.plan.numbers), steps):
            share, sure = found
            settled = sum(trial.status.is_settled for trial in own)
            end = command_line("stop", self.plan.name, output=from_home(self.plan.settings.output))
            offer = f". End it: {end}" if settled < len(self.plan.numbers) else ""
            log.info(
                f"nothing is learnt here, with {100 * sure:.0f} % confidence: by {100 * share:.0f} % of its updates no "
                f"trial was above {formats.score(least)} {record.metric} in two reports running, which is two "
                f"standard errors above the constant best answer; {round(sure * (len(TAKE_OFFS) + 1))} of "
                f"{len(TAKE_OFFS)} known searches that learn had one by then{offer}",
                extra={"whole": True},
            )
            self._open = False
