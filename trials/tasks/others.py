"""The tasks that the paper calls "Others", as ADePT's released code reads them (its `src/tasks.py`, `train.py`).

Sizes are those of the paper's Table 16. Their metric is accuracy.
"""

from __future__ import annotations

from trials.tasks.base import Task
from trials.tasks.targets import Labels

TASKS: tuple[Task, ...] = (
    Task(
        name="winogrande",
        title="WinoGrande",
        # The released code names the first option twice: the second is never read, and nothing but the sentence and
        # one name can be learnt from.
        template="sentence: {sentence} option0: {option1} option1: {option1}",
        target=Labels({1: "0", 2: "1"}, column="answer"),
        split="large",
        sizes=(39_398, 1_000, 1_267),
        hub=("allenai/winogrande", "winogrande_xl"),
        revision="01e74176c63542e6b0bcb004dcdea22d94fb67b5",
        folder="winogrande/winogrande_xl",
        published_as="winogrande",
        corrections=(("template", "sentence: {sentence} option0: {option1} option1: {option2}"),),
        correction="both options are read, not the first one twice",
    ),
    Task(
        name="yelp_polarity",
        title="YelpPolarity",
        template="sentence: {text}",
        target=Labels({0: "0", 1: "1"}),
        split="large",
        splits=("train", "test"),
        most_train=100_000,
        sizes=(100_000, 1_000, 38_000),
        hub=("fancyzhx/yelp_polarity", "plain_text"),
        revision="bbf1c97a1f0cf005e5aded43839fd814654a1557",
        folder="yelp_polarity",
        published_as="yelp_polarity",
        aliases=("yelp",),
    ),
    Task(
        name="scitail",
        title="SciTail",
        template="premise: {sentence1} hypothesis: {sentence2}",
        target=Labels({"entailment": "0", "neutral": "1"}, column="gold_label"),
        split="small",  # the published test split, 2,126 rows, is not read: halves of validation serve
        sizes=(23_596, 652, 652),
        hub=("allenai/scitail", "snli_format"),
        revision="0cc4353235b289165dfde1c7c5d1be983f99ce44",
        folder="scitail/snli_format",
        published_as="scitail",
    ),
    Task(
        name="paws",
        title="PAWS",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        target=Labels({0: "0", 1: "1"}),
        sizes=(49_401, 8_000, 8_000),
        hub=("google-research-datasets/paws", "labeled_final"),
        revision="161ece9501cf0a11f3e48bd356eaa82de46d6a09",
        folder="paws/labeled_final",
        published_as="paws",
    ),
)
