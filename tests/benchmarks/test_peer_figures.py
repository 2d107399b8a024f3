"""What is read from a part of the peer's grid must be true of the whole of it."""

from __future__ import annotations

import pytest

from benchmarks.peer_figures import PeerRun, PeerTrial, figures

BEFORE, AFTER = 9.0, 2.0  # seconds of the command before the first trial and after the last
LAUNCH, SETUP, FIRST_STEP, STEP, EVALUATION = 3.0, 4.0, 5.0, 0.5, 8.0


def simulated(trials: int, at_once: int, steps: int, eval_every: int) -> PeerRun:
    """Trials of equal length on their places; the first step of each takes longer by FIRST_STEP."""
    began = 1_000.0
    loop_began = began + BEFORE
    free = [loop_began] * at_once
    run = PeerRun(24, at_once, began, loop_began, 0.0, [])
    for number in range(trials):
        free.sort()
        started = free.pop(0) + LAUNCH
        now = training_started = started + SETUP
        trial = PeerTrial({"number": number})
        for step in range(eval_every, steps + 1, eval_every):
            seconds = eval_every * STEP + (FIRST_STEP if step == eval_every else 0.0)
            now += seconds + EVALUATION
            trial.reports.append(
                {
                    "step": step, "score": 50.0 + number, "train_seconds": seconds, "evaluation_seconds": EVALUATION,
                    "started": started, "training_started": training_started, "ended": now,
                }
            )  # fmt: skip
        free.append(now)
        run.trials.append(trial)
    run.ended = max(free) + AFTER
    return run


def test_figures_are_those_that_the_run_was_made_of() -> None:
    found = figures(simulated(trials=6, at_once=2, steps=40, eval_every=10))
    assert found.startup == pytest.approx(LAUNCH + SETUP + FIRST_STEP)
    assert (found.step, found.evaluation) == (pytest.approx(STEP), pytest.approx(EVALUATION))
    assert found.fixed == pytest.approx(BEFORE + AFTER)
    assert (found.best_score, found.steps, found.trials) == (55.0, 240, 6)


@pytest.mark.parametrize(("trials", "at_once", "steps"), [(24, 2, 40), (4, 2, 20), (2, 2, 20), (6, 3, 40)])
def test_a_part_of_the_grid_tells_the_makespan_of_the_whole(trials: int, at_once: int, steps: int) -> None:
    whole = simulated(24, at_once, steps=40, eval_every=10)
    part = figures(simulated(trials, at_once, steps, eval_every=10))
    assert part.grid_makespan(24, steps=40, eval_every=10) == pytest.approx(whole.ended - whole.began)


def test_of_one_stretch_the_first_steps_surplus_cannot_be_told_apart() -> None:
    found = figures(simulated(trials=2, at_once=2, steps=10, eval_every=10))
    assert found.step == pytest.approx(STEP + FIRST_STEP / 10)
    assert found.startup == pytest.approx(LAUNCH + SETUP)


def test_a_trial_without_a_report_is_named() -> None:
    run = simulated(trials=2, at_once=2, steps=10, eval_every=10)
    run.trials[1].reports = []
    with pytest.raises(ValueError, match="'number': 1"):
        figures(run)
