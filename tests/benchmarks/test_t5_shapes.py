"""A T5 of random weights loads as a backbone and is written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import t5_shapes
from trials.backbone_facts import describe


def test_a_shape_is_a_backbone_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(t5_shapes.SHAPES, "tiny", {"d_model": 24, "d_ff": 48, "num_heads": 2, "num_layers": 3})
    folder = t5_shapes.write_shape("tiny", tmp_path / "tiny-shape")
    facts = describe(str(folder))
    assert (facts.architecture, facts.width, facts.ff, facts.layers) == ("encoder-decoder", 24, 48, (3, 3))
    assert facts.vocabulary == t5_shapes.VOCABULARY
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert t5_shapes.write_shape("tiny", folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-shape"]


def test_an_unknown_shape_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="t5-small, t5-base"):
        t5_shapes.write_shape("t5-smal", tmp_path / "x")
