"""What keeps a search from beginning or from going on, each with what was kept and how to go on."""

from __future__ import annotations

from trials.errors import UserError


class SearchError(UserError):
    """A search cannot begin, or go on; what it has reported and decided is kept."""


class RecordError(SearchError):
    """A record that cannot be written or read; the message says which one, what is wrong and what to do."""


class JournalError(SearchError):
    """The journal cannot be written, is in use, or belongs to a search with other settings."""


class DiskFullError(SearchError):
    """There is no room for a search to go on."""


class UnwritableError(SearchError):
    """The folder of a search cannot be written any more."""


class LockError(SearchError):
    """The search belongs to another process; the message says to which."""


class StorageError(SearchError):
    """The storage cannot be used; the message names it, without keys, and says how to go on.

    Attributes:
        found: what is the matter.
    """

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}. All reports, decisions and checkpoints up to now are kept, and no trial counts as failed for "
            "it: see to the storage, then give the same command again"
        )
        self.found = found

    def __reduce__(self) -> tuple[type[StorageError], tuple[str]]:
        return type(self), (self.found,)
