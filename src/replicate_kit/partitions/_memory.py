"""The journal of a job that was given none: in memory, as long as the job is there."""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakValueDictionary, finalize

__all__ = ["Memory"]


class Memory:
    """Keeps the journal of a job in memory, as long as a job has it: another one may have been given its URL."""

    def __init__(self, url: str) -> None:
        from replicate_kit.testing.memory_ledger import store

        finalize(self, store.forget, url)

    @classmethod
    def of(cls, url: str, *, begin: bool) -> Self | None:
        """Begin a journal, or share one that a job has begun; None for journals that stay."""
        return _MEMORIES.setdefault(url, cls(url)) if begin else _MEMORIES.get(url)


_MEMORIES: WeakValueDictionary[str, Any] = WeakValueDictionary()
