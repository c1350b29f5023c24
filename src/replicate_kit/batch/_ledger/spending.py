"""What a journal has spent: by all runs, of all models, tries that failed included."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from typing import Any

from replicate_kit.batch._ledger.paying import CREATOR, SENDER
from replicate_kit.batch._ledger.protocol import Spending
from replicate_kit.batch._money.amounts import LONGEST
from replicate_kit.batch._money.pricing import Price, Spent

__all__ = ["fill_costs", "read_spending"]

# A prediction that never began is not billed, and a row that was refused has none. What may have been created and
# cannot be found counts, as it does in the run that gave it up. What is under way is counted apart.
_ENDED = (
    "SELECT seconds, cost FROM items AS i WHERE status IS NOT 'aborted' AND state != 'created' "
    "AND (prediction_id IS NOT NULL OR status = 'unknown') {items} "
    "UNION ALL SELECT seconds, cost FROM attempts AS a WHERE status IS NOT 'aborted' {attempts}"
)
# Numbers that cannot be true may stand in journals of earlier versions.
_SECONDS = "CASE WHEN seconds BETWEEN 0 AND :longest THEN seconds ELSE :most END"
_COST = f"CASE WHEN cost >= 0 THEN cost ELSE :each + :second * {_SECONDS} END"
_SUM = f"SELECT COUNT(*), TOTAL({_SECONDS}), TOTAL({_COST}) FROM ({_ENDED})"
# A prediction whose end is known, and its cost is not.
_OPEN_OR_FREE = "('aborted', 'unknown', 'adopted', 'canceling')"
_UNPRICED = f"cost IS NULL AND prediction_id IS NOT NULL AND status NOT IN {_OPEN_OR_FREE}"
_FILL = "UPDATE {} SET cost = :each + :second * " + _SECONDS + f" WHERE {_UNPRICED}"
_UNDER_WAY = "SELECT COUNT(*) FROM items AS i WHERE state IN ('intent', 'created') {under_way}"
_ALL = {"items": "", "attempts": "", "under_way": ""}
# What they have created is noted since they share anything: an ended prediction of which that is not noted is of none.
_BESIDES = "AND ({} IN (SELECT value FROM json_each(:runs))) IS NOT TRUE"
_BUT_SOME = {
    "items": _BESIDES.format(CREATOR.format("i")),
    "attempts": _BESIDES.format(CREATOR.format("a")),
    "under_way": _BESIDES.format(
        f"COALESCE(iif(i.state = 'created', {CREATOR.format('i')}, NULL), {SENDER})"
    ),
}


def read_spending(db: sqlite3.Connection, price: Price, besides: Collection[str] = ()) -> Spending:
    """Add up what a journal has spent, by this price where the journal has none; what is under way is only counted.

    What the runs `besides` have created is left out.
    """
    which, values = _BUT_SOME if besides else _ALL, _values(price) | {"runs": json.dumps([*besides])}
    spent = Spent(*db.execute(_SUM.format(**which), values).fetchone())
    return Spending(spent, db.execute(_UNDER_WAY.format(**which), values).fetchone()[0])


def fill_costs(db: sqlite3.Connection, price: Price) -> int:
    """Give predictions that ended without a cost the one that this price says; give their number."""
    if not price.known:
        return 0
    return sum(db.execute(_FILL.format(table), _values(price)).rowcount for table in ("items", "attempts"))


def _values(price: Price) -> dict[str, Any]:
    """What the queries ask for."""
    return {
        "longest": LONGEST,
        "most": price.most_seconds,
        "each": price.flat,
        "second": price.second or 0.0,
    }
