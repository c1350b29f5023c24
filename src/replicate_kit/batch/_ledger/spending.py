"""What a journal has spent: by all runs, of all models, tries that failed included."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from replicate_kit.batch._money.amounts import LONGEST
from replicate_kit.batch._money.pricing import Price, Spent

__all__ = ["NOTHING", "Spending", "read_spending"]

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
_UNDER_WAY = "SELECT COUNT(*) FROM {} WHERE state IN ('intent', 'created')"


class Spending(NamedTuple):
    """What was spent before a run, and how many predictions of its own rows are under way, or may be."""

    spent: Spent
    held: int


NOTHING = Spending(Spent(), 0)


def read_spending(db: sqlite3.Connection, price: Price) -> Spending:
    """Add up what a journal has spent before this run, by this run's price where the journal has none.

    What is under way is charged as the most that it may cost: that of other rows for good, since this run does not see
    it end; that of the run's own rows is only reserved.
    """
    values = {
        "longest": LONGEST,
        "most": price.most_seconds,
        "each": price.each or 0.0,
        "second": price.second or 0.0,
    }
    spent = Spent(*db.execute(_SUM, values).fetchone())
    held = db.execute(_UNDER_WAY.format("run.items")).fetchone()[0]
    others = max(0, db.execute(_UNDER_WAY.format("main.items")).fetchone()[0] - held)
    return Spending(
        spent.plus(others, others * price.most_seconds, others * (price.most or 0.0)),
        held,
    )
