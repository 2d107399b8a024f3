"""The one reader of YAML that people write (spaces, own tasks): YAML 1.2's values, equal keys reported, lines known.

It needs nothing of the other packages, so that both `search_spaces` and `trials` may use it. Module `models` checks a
document with a pydantic model.
"""

from yaml_reader.documents import Document, DocumentError, Key, read_document
from yaml_reader.hints import closest, did_you_mean

__all__ = ["Document", "DocumentError", "Key", "closest", "did_you_mean", "read_document"]
