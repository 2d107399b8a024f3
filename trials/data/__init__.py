"""A task's rows, tokenised once for a backbone and kept on disk as Arrow.

`prepare` finds the rows, checks them, applies the split rule, tokenises and saves; the next call, in any process, only
opens what is there.
"""

from __future__ import annotations

from trials.data.cache import default_cache_dir
from trials.data.identity import data_identity
from trials.data.preparation import fingerprint_now, prepare
from trials.data.prepared import PreparedTask, Split
from trials.data.rows import SPLIT_SEED
from trials.data.tokens import SEPARATOR, Architecture, encode_source, encode_target
from trials.data_facts import DataIdentity

__all__ = [
    "SEPARATOR",
    "SPLIT_SEED",
    "Architecture",
    "DataIdentity",
    "PreparedTask",
    "Split",
    "data_identity",
    "default_cache_dir",
    "encode_source",
    "encode_target",
    "fingerprint_now",
    "prepare",
]
