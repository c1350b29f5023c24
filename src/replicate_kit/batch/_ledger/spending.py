"""What a journal has spent: by all runs, of all models, tries that failed included."""

from __future__ import annotations

import sqlite3

from replicate_kit.batch._ledger.protocol import Spending
from replicate_kit.batch._money.amounts import LONGEST
from replicate_kit.batch._money.pricing import Price, Spent

__all__ = ["read_spending"]

# A prediction that never began is not billed, and a row that was refused has none. What may have been created and
# cannot be found counts, as it does in the run that gave it up. What is under way is counted apart.
_ENDED = (
    "SELECT seconds, cost FROM items WHERE status IS NOT 'aborted' AND state != 'created' "
    "AND (prediction_id IS NOT NULL OR status = 'unknown') "
    "UNION ALL SELECT seconds, cost FROM attempts WHERE status IS NOT 'aborted'"
)
# Numbers that cannot be true may stand in journals of earlier versions.
_SECONDS = "CASE WHEN seconds BETWEEN 0 AND :longest THEN seconds ELSE :most END"
_COST = f"CASE WHEN cost >= 0 THEN cost ELSE :each + :second * {_SECONDS} END"
_SUM = f"SELECT COUNT(*), TOTAL({_SECONDS}), TOTAL({_COST}) FROM ({_ENDED})"
_UNDER_WAY = "SELECT COUNT(*) FROM items WHERE state IN ('intent', 'created')"


def read_spending(db: sqlite3.Connection, price: Price) -> Spending:
    """Add up what a journal has spent, by this price where the journal has none; what is under way is only counted."""
    values = {
        "longest": LONGEST,
        "most": price.most_seconds,
        "each": price.each or 0.0,
        "second": price.second or 0.0,
    }
    spent = Spent(*db.execute(_SUM, values).fetchone())
    return Spending(spent, db.execute(_UNDER_WAY).fetchone()[0])
