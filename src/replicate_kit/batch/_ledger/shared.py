"""What the runs on a journal share: one text in its file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from replicate_kit.batch._ledger.protocol import Shared

__all__ = ["SHARES", "change_shared"]

SHARES = "SELECT 1 FROM shared"
"""Finds something once runs share anything."""


def change_shared(
    db: sqlite3.Connection, living: Callable[[], frozenset[str]], change: Callable[[Shared], str]
) -> None:
    """Change the text, in the transaction that is under way: other runs wait for it. `living` gives those that live."""
    found = db.execute("SELECT text FROM shared").fetchone()
    text = change(Shared(found and found[0], time.time(), living()))
    db.execute("INSERT INTO shared VALUES (?)" if found is None else "UPDATE shared SET text = ?", (text,))
