"""What a search compares its trials by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestrator.plan.planning import plan
from trials.errors import UserError


def test_losses_rank_trials_where_answers_are_a_closed_set(space: Path) -> None:
    by_loss, by_score = plan(space=space), plan(space=space, rank_by="score")
    assert by_loss.name == plan(space=space, rank_by="loss").name != by_score.name
    assert (by_loss.recorded["rank_by"], "rank_by" in by_score.recorded) == ("loss", False)
    by_score = plan(task="rte", rank_by="score")
    assert by_score.grace_period == 8_000  # a quarter of 30,000 in whole reports
    squad = plan(task="squad")
    assert (squad.rank_by, plan(task="rte", ties="loss").rank_by) == ("score", "score")
    assert plan(task="rte", scheduler="median").rank_by == "score"
    with pytest.raises(UserError, match=r"--rank-by loss: no validation loss .* of SQuAD: its answers may be any text"):
        plan(task="squad", rank_by="loss")


@pytest.mark.parametrize(("labels", "rank_by"), [(8, "loss"), (60, "score"), (80, "score")])
def test_many_labels_have_no_losses_and_are_ranked_by_scores(tmp_path: Path, labels: int, rank_by: str) -> None:
    rows = "".join(f"text {n},{n}\n" for n in range(labels))
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(f"text,kind\n{rows}")
    files = "{train: train.csv, validation: validation.csv, test: test.csv}"
    texts = {n: f"intent {n}" if labels == 60 else str(n) for n in range(labels)}
    file = tmp_path / "intents.yaml"
    file.write_text(f"name: intents\ntemplate: '{{text}}'\nlabel_column: kind\nfiles: {files}\nlabels: {texts}\n")
    assert plan(task=str(file), backbone="t5-nano").rank_by == rank_by
    if labels > 64:
        with pytest.raises(UserError, match="of intents: 80 answers are too many"):
            plan(task=str(file), backbone="t5-nano", rank_by="loss")
    else:
        assert plan(task=str(file), backbone="t5-nano", rank_by="loss").rank_by == "loss"
