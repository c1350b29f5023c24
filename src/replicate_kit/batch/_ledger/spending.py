"""What a journal has spent: by all runs, of all models, tries that failed included."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from replicate_kit.batch._ledger.contents import Used
from replicate_kit.batch._ledger.entries import Ended, Event
from replicate_kit.batch._ledger.paying import CREATOR, SENDER
from replicate_kit.batch._ledger.protocol import Spending
from replicate_kit.batch._money.amounts import LONGEST
from replicate_kit.batch._money.pricing import Price, Spent

__all__ = ["add_used", "fill_costs", "forget_used", "note_used", "read_spending"]

# A prediction that never began is not billed, and a row that was refused has none. What may have been created and
# cannot be found counts, as it does in the run that gave it up. What is under way is counted apart.
_ENDED = (
    "SELECT prediction_id, seconds, cost FROM items AS i WHERE status IS NOT 'aborted' AND state != 'created' "
    "AND (prediction_id IS NOT NULL OR status = 'unknown') {items} "
    "UNION ALL SELECT prediction_id, seconds, cost FROM attempts AS a WHERE status IS NOT 'aborted' {attempts}"
)
# Numbers that cannot be true may stand in journals of earlier versions.
_SECONDS = "CASE WHEN seconds BETWEEN 0 AND :longest THEN seconds ELSE :most END"
# A prediction whose end is known, and its cost is not.
_OPEN_OR_FREE = "('aborted', 'unknown', 'adopted', 'canceling')"
_UNPRICED = f"cost IS NULL AND prediction_id IS NOT NULL AND status NOT IN {_OPEN_OR_FREE}"
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
# Of a prediction of `e`, by the number of the metric.
_USED = (
    "COALESCE((SELECT m.value FROM used AS u, json_each(u.metrics) AS m "
    "WHERE u.prediction_id = e.prediction_id AND m.key = :metric{0}), :most{0})"
)


def read_spending(db: sqlite3.Connection, price: Price, besides: Collection[str] = ()) -> Spending:
    """Add up what a journal has spent, by this price where the journal has none; what is under way is only counted.

    What the runs `besides` have created is left out.
    """
    which, values = _BUT_SOME if besides else _ALL, _values(price) | {"runs": json.dumps([*besides])}
    used = "".join(f", TOTAL({_USED.format(number)})" for number in range(len(price.mosts)))
    cost = f"CASE WHEN cost >= 0 THEN cost ELSE {_priced(price)} END"
    ended = _ENDED.format(**which)
    statement = f"SELECT COUNT(*), TOTAL({_SECONDS}), TOTAL({cost}){used} FROM ({ended}) AS e"
    count, seconds, money, *sums = db.execute(statement, values).fetchone()
    spent = Spent(count, seconds, money, dict(zip(price.mosts, sums, strict=True)))
    return Spending(spent, db.execute(_UNDER_WAY.format(**which), values).fetchone()[0])


def fill_costs(db: sqlite3.Connection, price: Price) -> int:
    """Give predictions that ended without a cost the one that this price says; give their number."""
    if not price.known:
        return 0
    fill = f"UPDATE {{}} AS e SET cost = {_priced(price)} WHERE {_UNPRICED}"
    return sum(db.execute(fill.format(table), _values(price)).rowcount for table in ("items", "attempts"))


def note_used(db: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Note what predictions used of metrics, of those that have ended so."""
    ended = (each for each in events if isinstance(each, Ended) and each.used)
    add_used(db, (Used(each.prediction_id, each.used) for each in ended if each.prediction_id is not None))


def add_used(db: sqlite3.Connection, used: Iterable[Used]) -> None:
    """Note what predictions used, where that is not known yet."""
    values = ((id, json.dumps(metrics)) for id, metrics in used)
    db.executemany("INSERT OR IGNORE INTO used VALUES (?, ?)", values)


def forget_used(db: sqlite3.Connection) -> None:
    """Forget what predictions used that no row has any more."""
    tables = " UNION ALL ".join(
        f"SELECT 1 FROM {table} AS t WHERE t.prediction_id = used.prediction_id"
        for table in ("items", "attempts")
    )
    db.execute(f"DELETE FROM used WHERE NOT EXISTS ({tables})")


def _priced(price: Price) -> str:
    """What a prediction of `e` has cost by a price."""
    units = "".join(
        f" + :unit{number} * {_USED.format(number)}"
        for number, name in enumerate(price.mosts)
        if name in price.units
    )
    return f":each + :second * {_SECONDS}{units}"


def _values(price: Price) -> dict[str, Any]:
    """What the queries ask for."""
    values: dict[str, Any] = {
        "longest": LONGEST,
        "most": price.most_seconds,
        "each": price.each or 0.0,
        "second": price.second or 0.0,
    }
    for number, (name, most) in enumerate(price.mosts.items()):
        values |= {
            f"metric{number}": name,
            f"most{number}": most,
            f"unit{number}": price.units.get(name, 0.0),
        }
    return values
