"""Plans of options as the command line gives them, and a space that is small enough to count."""

from __future__ import annotations

from typing import Any

from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan

SPACE = """
about: two rates
settings: {steps: 40, eval_every: 10, batch_size: 8, warmup_steps: 4}
grids:
  adept: {prompt_lr: [0.1, 0.1, 0.2], mlp_lr: 1e-3, prompt_length: [4, 8], bottleneck: 2}
"""


def plan(**options: Any) -> Plan:
    settings, problems = read_settings({key: str(value) for key, value in options.items()})
    return make_plan(settings, problems)
