"""Names that users import from `trials` itself."""

from __future__ import annotations

import pytest

import trials


@pytest.mark.parametrize("name", trials.__all__)
def test_each_public_name_leads_to_what_it_names(name: str) -> None:
    assert callable(getattr(trials, name))
