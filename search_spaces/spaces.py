"""What a search space is once its file has been read: settings, axes and configurations."""

from dataclasses import dataclass

from search_spaces.grids import Axis
from search_spaces.hyperparameters import SETTINGS, Configuration, read


@dataclass(frozen=True)
class Settings:
    """How every trial of a search is trained. Steps are optimizer steps, sizes are rows, lengths are tokens."""

    steps: int
    eval_every: int
    batch_size: int
    warmup_steps: int
    max_source_length: int | None = None
    """Longest input; None: the task's own."""

    def problems(self) -> dict[str, str]:
        """What does not fit together, by the setting's name; empty where all is well.

        `dataclasses.replace` makes changed settings without a check: ask here afterwards.
        """
        found = {}
        for name, rule in SETTINGS.items():
            value = getattr(self, name)
            if value is None and not rule.required:
                continue
            try:
                read(rule, value)
            except ValueError as error:
                found[name] = str(error)
        if found:
            return found
        steps, every = self.steps, self.eval_every
        if every > steps:
            found["eval_every"] = f"{every} is more than steps ({steps}): a trial would never be evaluated"
        elif rest := steps % every:
            fix = f"the last {rest} steps would not be evaluated; take {steps - rest} or {steps - rest + every}"
            found["steps"] = f"{steps} is not a multiple of eval_every ({every}): {fix}"
        if self.warmup_steps >= steps:
            never = "the learning rate would never reach its maximum"
            found["warmup_steps"] = f"{self.warmup_steps} is not less than steps ({steps}): {never}"
        return found


@dataclass(frozen=True, kw_only=True)
class Space:
    """The configurations worth trying for one method on one backbone, and the settings to try them with."""

    name: str
    about: str
    source: str
    """Where the method's grid was published, or that it is ours."""
    method: str
    settings: Settings
    axes: tuple[Axis, ...]
    """The grid's dimensions; their product is `configurations`. A searcher that samples draws one row of each."""
    configurations: tuple[Configuration, ...]
    """Each once, in grid order: the first axis changes slowest."""
    duplicates: int
    """Points of the grid that were dropped because an equal one came before."""
    budget: int = 100
    """The parameter budget, in rows of a soft prompt."""
    sized: str | None = None
    """The hyperparameter whose values follow from the prompt length and the budget (`from_budget`), if one does."""

    def describe_axes(self) -> list[str]:
        """One line an axis, such as `mlp_lr: 0.0001, 1e-05`, and one for dropped duplicates if there are any."""
        lines = [str(axis) for axis in self.axes]
        if self.duplicates:
            lines.append(f"{self.duplicates} equal configuration{'s' * (self.duplicates > 1)} dropped")
        return lines
