"""Copies a journal to another one, of whichever kind both are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain, islice

from replicate_kit.batch._ledger.contents import Content, KeptRow
from replicate_kit.batch._ledger.places import JournalPath
from replicate_kit.batch._ledger.stores import is_url, journal_text, shown, store_of
from replicate_kit.errors import JournalError

__all__ = ["copy_journal"]


def copy_journal(source: JournalPath, target: JournalPath) -> int:
    """Copy all that a journal holds to one that is empty or not there; give the number of its rows.

    All of it is copied or, where anything fails, nothing. Raises `JournalError` while a run uses either.
    """
    store, text = store_of(target), journal_text(target)
    if _is_same(source, target):
        raise JournalError(f"{shown(source)} cannot be copied to itself. Name another journal.")
    rows = 0

    def counted(contents: Iterable[Content]) -> Iterator[Content]:
        nonlocal rows
        for each in contents:
            rows += isinstance(each, KeptRow)
            yield each

    with (
        closing(store_of(source).administrator(journal_text(source))) as giver,
        closing(giver.contents()) as contents,
    ):
        first = list(
            islice(contents, 1)
        )  # before the target is made: there may be nothing that can be copied
        with closing(store.administrator(text, make=True)) as taker:
            taker.take(counted(chain(first, contents)))
    return rows


def _is_same(source: JournalPath, target: JournalPath) -> bool:
    """Whether both are one file, which SQLite would wait for; other ledgers see that it is not empty."""
    if is_url(source) or is_url(target):
        return False
    with suppress(OSError):
        return os.path.samefile(source, target)
    return False
