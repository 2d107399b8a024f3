"""GLUE, as ADePT's released code reads it (its `src/tasks.py`); sizes from the paper's Table 16.

Targets are the digits of the labels, not words, and no task name stands in front of the text. The published test splits
have no labels: the test rows come from train or validation by the split rule.
"""

from __future__ import annotations

from trials.tasks.base import Task
from trials.tasks.targets import Labels, Number

_HUB = "nyu-mll/glue"

TASKS: tuple[Task, ...] = (
    Task(
        name="rte",
        title="RTE",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(2_490, 138, 139),
        hub=(_HUB, "rte"),
        folder="glue/rte",
        published_as="rte",
    ),
    Task(
        name="cola",
        title="CoLA",
        template="sentence: {sentence}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(8_551, 521, 522),
        # The caption of the paper's Table 3 says accuracy; its values and the released code say Matthews correlation.
        metrics=("matthews_correlation",),
        hub=(_HUB, "cola"),
        folder="glue/cola",
        published_as="cola",
    ),
    Task(
        name="sst2",
        title="SST-2",
        template="sentence: {sentence}",
        target=Labels({0: "0", 1: "1"}),
        split="large",
        sizes=(66_349, 1_000, 872),
        hub=(_HUB, "sst2"),
        folder="glue/sst2",
        published_as="sst2",
    ),
    Task(
        name="stsb",
        title="STS-B",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        # The released code means to round to 0.2, as T5 does, and rounds to 0.1; the published scores are against that.
        target=Number(0.0, 5.0, step=0.1, column="label"),
        split="small",
        sizes=(5_749, 750, 750),
        hub=(_HUB, "stsb"),
        folder="glue/stsb",
        published_as="stsb",
    ),
)
