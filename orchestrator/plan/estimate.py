"""What a plan will cost: a floor from floating-point operations and the rate of the device. For `--plan`."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import in_words
from trials.backbones.facts import DEFAULT

if TYPE_CHECKING:
    from trials.data import PreparedTask

FLOAT32_TFLOPS = {
    "H200": 67.0, "H100": 67.0, "A100": 19.5, "L40S": 91.6, "L40": 90.5, "L4": 30.3, "A10": 31.2, "V100": 15.7,
    "T4": 8.1, "RTX 3090": 35.6, "RTX 4090": 82.6,
}  # fmt: skip
"""Peak float32 rates outside tensor cores, in TFLOP/s (vendors' data sheets)."""

LONG = 86_400.0
"""Seconds of a search that are worth a warning."""

REACHED = 0.4
"""Share of an accelerator's peak that training reaches; a cautious guess until a benchmark says better."""


@dataclass(frozen=True)
class Device:
    """What trains here: ``count`` devices that reach ``rate`` FLOP/s each, and what that number is based on."""

    name: str
    count: int
    rate: float
    basis: str


@dataclass(frozen=True)
class RowLengths:
    """What rows cost: mean source tokens of a row of train and of validation, and how many of the latter there are."""

    train: float
    validation: float
    validation_rows: int

    @classmethod
    def of(cls, data: PreparedTask) -> RowLengths:
        """Those of a task that is tokenised."""
        train, validation = (data.split(name).lengths for name in ("train", "validation"))
        return cls(float(train.mean()), float(validation.mean()), len(validation))


@dataclass(frozen=True)
class Estimate:
    """Seconds of one device for the steps expected and their reports, and for those without early stopping."""

    device: Device
    devices: int
    expected_seconds: float
    full_seconds: float


def local_device() -> Device:
    """The accelerators of this machine, else its cores, whose rate is measured with a matrix product."""
    smi = shutil.which("nvidia-smi")
    if smi:
        listed = subprocess.run([smi, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
        names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
        if listed.returncode == 0 and names:
            peak = next((rate for key, rate in FLOAT32_TFLOPS.items() if key in names[0]), 20.0)
            return Device(names[0], len(names), peak * 1e12 * REACHED, f"{REACHED:.0%} of {peak} TFLOP/s float32")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Device("CPU core", cores, measured_rate() / cores, "a float32 matrix product timed just now")


def measured_rate(size: int = 1024, repeats: int = 5) -> float:
    """FLOP/s of this machine's cores together in a float32 matrix product, the best of a few: others only slow it."""
    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    a @ a
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def estimate(plan: Plan, device: Device, lengths: RowLengths | None = None) -> Estimate:
    """Time of a plan's updates, and of the forward passes over validation at its reports.

    Args:
        lengths: None where rows have not been looked at: all are as long as allowed, and reports cost nothing.
    """
    settings, training = plan.settings, plan.training
    # Where configurations are proposed later, those of the grid stand for them.
    of = [trial.config.hyperparameters for trial in plan.trials] or list(plan.space.configurations)
    prompts = [plan.trial(0, found).config.prompt_length for found in of]
    whole = not plan.shares_passes  # gradients of whole weights; those of low rank are small
    known = lengths or RowLengths(plan.max_source_length, plan.max_source_length, 0)

    def mean_flops(rows: int, source: float, inner: bool) -> float:
        return sum(plan.facts.step_flops(rows, source + m, inner=inner) for m in prompts) / len(prompts)

    update = mean_flops(training.batch_size, known.train, whole)
    # Forward alone: half of an update that changes no weights.
    report = mean_flops(known.validation_rows, known.validation, False) / 2
    seconds = plan.steps * (update + report / training.eval_every) / device.rate
    return Estimate(device, settings.devices or device.count, seconds * plan.expected_steps / plan.steps, seconds)


def warnings(plan: Plan, device: Device | None = None, lengths: RowLengths | None = None) -> list[str]:
    """What to say before a search that this machine would need more than a day for, were it to train alone."""
    guess = estimate(plan, device or local_device(), lengths)
    seconds = guess.expected_seconds / engines_needed(guess.devices, plan.samples, plan.slots, plan.max_concurrent)
    if seconds <= LONG:
        return []
    shorter = f"--backbone {DEFAULT} trains in minutes"
    remedy = "--samples and --steps shorten it" if plan.facts.is_embedded else shorter
    return [
        f"THIS TAKES ABOUT {roughly(seconds).upper()} on this machine alone ({guess.devices} x {guess.device.name}): "
        f"{plan.expected_steps:,} steps of {plan.facts.name} want a GPU, or a cluster. {remedy}. Ctrl-C ends the "
        "search, and what it has done is kept"
    ]


def print_plan(plan: Plan, console: Console, about_data: Sequence[str] = (), lengths: RowLengths | None = None) -> None:
    """The trials, data, steps, time and cost of a search that has not started."""
    guess = estimate(plan, local_device(), lengths)
    training, settings = plan.training, plan.settings
    console.print(trials_table(plan) if plan.trials else ranges_table(plan))
    for note in [*plan.notes, *warnings(plan, guess.device, lengths)]:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    for line in about_data:
        console.print(line, highlight=False, soft_wrap=True)
    engines = engines_needed(guess.devices, plan.samples, plan.slots, plan.max_concurrent)
    lines = [
        f"{plan.count} trials x {training.steps:,} steps = {plan.steps:,} steps at most, {expectation(plan)}",
        plan.lane,
        in_words(plan) + ("" if plan.precision == "float32-exact" else "; the time below is float32's"),
        sharing(plan),
        f"batch size {training.batch_size}, a report every {training.eval_every:,} steps, recipe {settings.recipe}, "
        f"seed {settings.seed}",
        f"estimated time: {roughly(guess.expected_seconds / engines)} on {engines} x "
        f"{guess.device.name}, {guess.expected_seconds / 3600:,.2f} device-hours "
        f"(without early stopping {guess.full_seconds / 3600:,.2f})",
        f"  {basis(plan, lengths)}; rate: {guess.device.rate / 1e9:,.0f} GFLOP/s a device, {guess.device.basis}",
    ]
    if settings.price is not None:
        cost, full = (s / 3600 * settings.price for s in (guess.expected_seconds, guess.full_seconds))
        lines.append(
            f"estimated cost: {cost:,.2f} at {settings.price:g} a device-hour (without early stopping {full:,.2f})"
        )
    else:
        lines.append("estimated cost: give --price PER_DEVICE_HOUR to see it")
    for line in [*lines, f"would write to {plan.folder}; nothing has been started"]:
        console.print(line, highlight=False, soft_wrap=True)


def trials_table(plan: Plan) -> Table:
    """The configurations that are known beforehand."""
    axes = list(plan.trials[0].config.hyperparameters)
    table = Table("trial", *axes, "parameters", title=title(plan))
    for trial in sorted(plan.trials, key=lambda t: t.number):
        values = [f"{v:g}" if isinstance(v, float) else str(v) for v in trial.config.hyperparameters.values()]
        table.add_row(str(trial.number), *values, f"{trial.parameters:,}")
    return table


def ranges_table(plan: Plan) -> Table:
    """What a searcher draws from."""
    from orchestrator.searchers.distributions import Distributions

    distributions = Distributions(plan.space, plan.facts.width, plan.max_source_length, plan.sizes)
    table = Table("hyperparameter", "drawn from", title=title(plan))
    for names, text in distributions.describe().items():
        table.add_row(names, text)
    return table


def basis(plan: Plan, lengths: RowLengths | None) -> str:
    """The rows that an estimate counts, in words."""
    if lengths is None:
        return f"with all rows at {plan.max_source_length} tokens and no evaluation"
    return (
        f"with rows of {lengths.train:.0f} tokens in the mean, and {lengths.validation_rows:,} rows of "
        f"{lengths.validation:.0f} read at each report; no padding"
    )


def title(plan: Plan) -> str:
    """Task, method and backbone."""
    return f"{plan.task.title}: {plan.settings.method} on {plan.facts.name}"


def sharing(plan: Plan) -> str:
    """How many trials share a pass of the backbone, in words."""
    if not plan.shares_passes:
        return f"passes: one trial a device, as {plan.settings.method} changes weights that all rows of a pass share"
    if plan.slots == 1:
        return "passes: one trial a device (--slots 1)"
    several = f"up to {plan.slots} trials" if plan.slots else "trials"
    least = "" if plan.slots else ", as many as fill a device (found by measuring it)"
    return f"passes: {several} of an engine share each{least}"


def expectation(plan: Plan) -> str:
    """How many of a plan's steps will be trained, and what makes them more, in words."""
    if plan.settings.scheduler == "none":
        return stopping(plan)
    text = f"about {plan.expected_steps:,} with early stopping ({stopping(plan)})"
    if plan.settings.ties == "keep" and plan.rank_by == "score" and plan.settings.scheduler != "freeze-thaw":
        text += f"; up to {plan.steps:,} where trials tie, for equal scores go on together"
    return text


def stopping(plan: Plan) -> str:
    """When trials are stopped, in words."""
    settings = plan.settings
    first = f"{settings.scheduler}: first decision at step {plan.grace_period:,}"
    if settings.scheduler == "none":
        text = "every trial runs to the end"
    elif settings.scheduler == "freeze-thaw":
        text = (
            f"freeze-thaw: decided at each report, from step {plan.training.eval_every:,} on; a trial ends that wins "
            f"with no more than {settings.stop_chance:.3g} probability"
        )
    elif settings.scheduler == "median":
        text = f"{first}; half the trials are taken to end there"
    else:
        ties = ", equal scores told apart by their losses" if settings.ties == "loss" else ""
        by = ", by their validation losses" if plan.rank_by == "loss" else ties
        text = f"{first}, one in {settings.reduction_factor} goes on at each rung{by}"
    more = f"; {plan.repeats} trials on further seeds run to the end" if plan.repeats else ""
    return text + more


def roughly(seconds: float) -> str:
    """A guessed duration in one unit: 42 s, 3 min, 5.2 h, 12 days."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def engines_needed(devices: int, trials: int, slots: int | None, max_concurrent: int | None) -> int:
    """Engines that find something to do.

    With a number of slots, as few as hold all trials that may run at once; where it is left to measurement, a device
    for each trial while there are devices: two half-full engines are done sooner than a full one and an idle device.
    """
    at_once = min(trials, max_concurrent or trials)
    return max(1, min(devices, math.ceil(at_once / (slots or 1))))
