"""GLUE, as ADePT's released code reads it (its `src/tasks.py`); sizes from the paper's Table 16.

Targets are the digits of the labels, not words, and no task name stands in front of the text. The published test splits
have no labels: the test rows come from train or validation by the split rule. Of MNLI the mismatched validation rows
validate and the matched ones test. The released code selects QQP and MRPC by accuracy, the first of its
`TASK_TO_METRICS`, though their classes name F1 first.
"""

from __future__ import annotations

from trials.tasks.base import Task
from trials.tasks.targets import Labels, Number

_HUB = "nyu-mll/glue"
_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"

TASKS: tuple[Task, ...] = (
    Task(
        name="mnli",
        title="MNLI",
        template="premise: {premise} hypothesis: {hypothesis}",
        target=Labels({0: "0", 1: "1", 2: "2"}),
        splits=("train", "validation_mismatched", "validation_matched"),
        sizes=(392_702, 9_832, 9_815),
        hub=(_HUB, "mnli"),
        revision=_REVISION,
        folder="glue/mnli",
        published_as="mnli",
    ),
    Task(
        name="qqp",
        title="QQP",
        template="question1: {question1} question2: {question2}",
        target=Labels({0: "0", 1: "1"}),
        split="large",
        sizes=(362_846, 1_000, 40_431),
        metrics=("accuracy", "f1"),
        hub=(_HUB, "qqp"),
        revision=_REVISION,
        folder="glue/qqp",
        published_as="qqp",
    ),
    Task(
        name="qnli",
        title="QNLI",
        template="question: {question} sentence: {sentence}",
        target=Labels({0: "0", 1: "1"}),
        split="large",
        sizes=(103_743, 1_000, 5_463),
        hub=(_HUB, "qnli"),
        revision=_REVISION,
        folder="glue/qnli",
        published_as="qnli",
    ),
    Task(
        name="sst2",
        title="SST-2",
        template="sentence: {sentence}",
        target=Labels({0: "0", 1: "1"}),
        split="large",
        sizes=(66_349, 1_000, 872),
        hub=(_HUB, "sst2"),
        revision=_REVISION,
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
        revision=_REVISION,
        folder="glue/stsb",
        published_as="stsb",
        corrections=(("target", Number(0.0, 5.0, step=0.2, column="label")),),
        correction="similarities are rounded to 0.2, as T5 does, not to 0.1",
    ),
    Task(
        name="mrpc",
        title="MRPC",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(3_668, 204, 204),
        metrics=("accuracy", "f1"),
        hub=(_HUB, "mrpc"),
        revision=_REVISION,
        folder="glue/mrpc",
        published_as="mrpc",
    ),
    Task(
        name="rte",
        title="RTE",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(2_490, 138, 139),
        hub=(_HUB, "rte"),
        revision=_REVISION,
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
        revision=_REVISION,
        folder="glue/cola",
        published_as="cola",
    ),
)
