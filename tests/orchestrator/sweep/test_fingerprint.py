"""What makes two searches of a sweep equal work."""

from __future__ import annotations

import pytest

from orchestrator.sweep import fingerprint
from orchestrator.sweep.fingerprint import parts_of
from tests.orchestrator.plan.planning import plan


@pytest.mark.parametrize(
    ("given", "counts"), [({}, True), ({"precision": "float32"}, False), ({"deterministic": "yes"}, False)]
)
def test_what_chooses_the_precision_is_a_part_where_it_is_chosen(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], counts: bool
) -> None:
    """Processors of one name may differ in their units: in bfloat16 on one, a search is float32 on the other."""
    monkeypatch.setattr(fingerprint, "_hardware", lambda: {"cpu": "AMD EPYC, 2 cores"})
    parts = []
    for units in ("avx2", "avx2 avx512_bf16"):
        monkeypatch.setattr(fingerprint, "vector_units", lambda units=units: units, raising=False)
        parts.append(parts_of(plan(task="debsec", **given)))
    assert (parts[0] != parts[1]) is counts
