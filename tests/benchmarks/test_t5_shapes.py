"""A grown T5 loads as a backbone, computes what t5-nano does, and is written once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import T5ForConditionalGeneration

from benchmarks import t5_shapes
from trials.backbones.describe import describe


def test_a_shape_is_a_backbone_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(t5_shapes.SHAPES, "tiny", {"d_model": 512, "d_ff": 1536, "num_heads": 8, "num_layers": 5})
    folder = t5_shapes.write_shape("tiny", tmp_path / "tiny-shape")
    facts = describe(str(folder))
    assert (facts.architecture, facts.width, facts.ff, facts.layers) == ("encoder-decoder", 512, 1536, (5, 5))
    assert facts.vocabulary == t5_shapes.VOCABULARY
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert t5_shapes.write_shape("tiny", folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-shape"]

    small, large = (T5ForConditionalGeneration.from_pretrained(one).eval() for one in (t5_shapes.SOURCE, folder))
    source, target = torch.tensor([[5, 90, 700, 6000, 1], [8, 3, 1, 0, 0]]), torch.tensor([[30, 31, 1], [40, 1, 0]])
    with torch.no_grad():
        expected, found = (m(source, source.ne(0), decoder_input_ids=target).logits for m in (small, large))
    torch.testing.assert_close(found[..., : expected.shape[2]], expected, rtol=1e-4, atol=1e-4)
    assert found[..., expected.shape[2] :].equal(found[..., [t5_shapes.UNKNOWN]].expand_as(found[..., 8128:]))


def test_an_unknown_shape_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="t5-small, t5-base"):
        t5_shapes.write_shape("t5-smal", tmp_path / "x")
