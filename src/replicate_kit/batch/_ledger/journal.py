"""What was intended, created, finished and saved: the memory that a run is resumed from.

    intent ──► created ──► finished ──► saved
      │           ├──────► failed
      │           ├──────► canceled    by us, or interrupted: created again
      │           └──────► expired     paid, output gone
      └──────────────────► unknown     may have been created, cannot be found; somebody may settle it:
                                       created, with an id that a run confirms; or canceled

Each function here is one step of a transaction, run by `Database`. An intent is committed before its create is
sent, so that whatever may have been paid for is known, even after a crash at any moment. A row that is tried again
keeps its earlier end until the new prediction has an id, or an end of its own.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from replicate_kit._unresolved.clocks import Span
from replicate_kit._unresolved.protocols import Owner
from replicate_kit.batch._ledger.hashing import HASHED, input_hash, without_inputs
from replicate_kit.batch._ledger.stored import state_now
from replicate_kit.batch._ledger.work import Claim, Ending, Item, Kept, Work

__all__ = ["Claim", "Ending", "Item", "Journal", "Kept", "Work"]

Connection = sqlite3.Connection

_NEWEST = 2000


@dataclass(frozen=True)
class Journal:
    """The steps of one run.

    `redo` are the states that this run pays for again. Outputs with files that were finished before
    `fresh_since` may have expired, and are looked at before they are given. Without `keeps_inputs`, what is written
    down holds hashes in place of inputs: those of this run stand in its own tables, those of others are not known.
    """

    run: str
    model: str
    alive: Callable[[str], bool]
    redo: frozenset[str]
    save_to: str | None = None
    fresh_since: float = 0.0
    keeps_inputs: bool = True
    _dead: set[str] = field(default_factory=set)

    def claim(self, db: Connection, work: Work) -> Claim:
        """Take a row for this run and note the intent to create it, or say what else is to be done."""
        claim = self.look(db, work)
        if claim.verdict == "create":
            self._intend(db, work)
        return claim

    def look(self, db: Connection, work: Work) -> Claim:
        """Say what is to be done about a row, and take over what a dead run left."""
        item = self._item(db, work)
        if item is None:
            return Claim("create")
        return self._judged(db, work, item)._replace(billed=item.billed, seconds=item.seconds)

    def _judged(self, db: Connection, work: Work, item: Item) -> Claim:
        """Say what is to be done about a row of which something is known."""
        # All of these are over, but for 'unknown': that may still be under way, and is paid again only where the caller
        # asks for it.
        if item.state in self.redo:
            return Claim("create", item.prediction_id)
        if item.state in ("intent", "created"):
            return self._look_at_open(db, work, item)
        if self.save_to is not None and (
            item.state == "finished" or (item.state == "saved" and item.stored_in != self.save_to)
        ):
            return Claim("save", item.prediction_id)
        if item.state == "saved":  # that it could not be stored elsewhere as well is nothing to this run
            self._clear(db, work)
        stale = item.state == "finished" and not self._is_fresh(item.finished_at or 0.0)
        return Claim("check" if stale else "done", item.prediction_id)

    def _is_fresh(self, finished_at: float) -> bool:
        """Whether files that were finished then are still there; a time to come is that of a clock that was set."""
        return not self.fresh_since or self.fresh_since <= finished_at <= time.time()

    def _item(self, db: Connection, work: Work) -> Item | None:
        """Read what is known of a row; if files of it went or came back, that is written down."""
        item = _item(db, work)
        now = None if item is None else state_now(item.state, item.stored, item.stored_in)
        if item is None or now is None or now == item.state:
            return item
        state = "finished" if now == "gone" else now
        db.execute(
            "UPDATE items SET state = ?, status = 'succeeded', error = NULL WHERE key = ? AND sample = ?",
            (state, work.key, work.sample),
        )
        return item._replace(state=state)

    def _intend(self, db: Connection, work: Work) -> None:
        """Write down that a create is about to be sent; what is known of an earlier one stays until this one is."""
        db.execute(
            "INSERT INTO items (key, sample, state, run, model, input, fingerprint, sent_at, settled_at, clock) "
            "VALUES (?, ?, 'intent', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, sample) DO UPDATE SET before = state, "
            "state = 'intent', run = excluded.run, sent_at = excluded.sent_at, settled_at = excluded.settled_at, "
            "clock = excluded.clock, fingerprint = excluded.fingerprint, input = excluded.input",
            (
                work.key, work.sample, self.run, self.model, self._input(work), work.fingerprint, *work.theirs,
                work.clock,
            ),
        )  # fmt: skip

    def withdraw(self, db: Connection, work: Work) -> None:
        """Forget an intent that certainly came to nothing: the row is again what it was before."""
        # Only an intent that is still ours: if another run has taken the row over, its intent may be that of a create
        # that was sent.
        ours = (work.key, work.sample, self.run)
        where = "WHERE key = ? AND sample = ? AND run = ? AND state = 'intent'"
        db.execute(f"DELETE FROM items {where} AND before IS NULL", ours)
        db.execute(f"UPDATE items SET state = before {where}", ours)

    def refused(self, db: Connection, work: Work, ending: Ending) -> Claim | None:
        """Write down that a row was refused; if another run has it meanwhile, say what is to be done instead.

        What was paid for before, and may be there again, stays known: only the error is new.
        """
        # First of all: while our own intent stands, `look` would say that its create is to be looked for.
        self.withdraw(db, work)
        claim = self.look(db, work)
        if claim.verdict != "create":
            return claim
        # A row that is left to the next run must not make that pay again for what has failed, without being asked.
        stay = ["unknown", "expired", *["failed"] * (ending.state == "canceled")]
        kept = db.execute(
            "UPDATE items SET run = ?, error = ? WHERE key = ? AND sample = ? "
            "AND state IN (SELECT value FROM json_each(?))",
            (self.run, self._error(work, ending.error), work.key, work.sample, json.dumps(stay)),
        )
        if not kept.rowcount:
            self.ended(db, work, ending)
        return None

    def created(self, db: Connection, work: Work, prediction_id: str) -> bool:
        """Write down the id; False if another row has this prediction already."""
        # We look and write in one transaction, so that of two rows one gets the prediction, in whichever processes they
        # are. The unique index alone would refuse the second, and with it all other operations of its group.
        if _has_owner(db, prediction_id):
            return False
        self._archive(db, work)
        db.execute(
            "UPDATE items SET state = 'created', prediction_id = ?, attempts = attempts + 1 "
            "WHERE key = ? AND sample = ?",
            (prediction_id, work.key, work.sample),
        )
        # The first one is what the account of this run is known by.
        seen = "UPDATE accounts SET prediction_id = ? WHERE run = ? AND prediction_id IS NULL"
        db.execute(seen, (prediction_id, self.run))
        return True

    def ended(self, db: Connection, work: Work, ending: Ending) -> None:
        """Write down how it ended; a row that was refused may have no intent left to say it of.

        What a prediction has cost stays as it was first known: a later look at it may know less, and no price.
        """
        self._archive(db, work)
        db.execute(
            "INSERT INTO items (key, sample, model, input, state, run, status, output, error, seconds, cost, "
            "finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, sample) DO UPDATE SET "
            "state = excluded.state, run = excluded.run, input = excluded.input, status = excluded.status, "
            "output = excluded.output, "
            "error = excluded.error, seconds = COALESCE(items.seconds, excluded.seconds), "
            "cost = COALESCE(items.cost, excluded.cost), finished_at = excluded.finished_at",
            (
                work.key, work.sample, self.model, self._input(work), ending.state, self.run, ending.status,
                _dumped(ending.output), self._error(work, ending.error), ending.seconds, ending.cost,
                time.time() - ending.ago,
            ),
        )  # fmt: skip

    def saved(self, db: Connection, work: Work, stored: Any) -> None:
        """Write down where the files are now."""
        db.execute(
            "UPDATE items SET state = 'saved', run = ?, stored = ?, stored_in = ?, error = NULL "
            "WHERE key = ? AND sample = ?",
            (self.run, _dumped(stored), self.save_to, work.key, work.sample),
        )

    def gone(
        self, db: Connection, work: Work, error: dict[str, Any], elsewhere: dict[str, Any] | None = None
    ) -> None:
        """Write down that the files have expired; what is stored elsewhere stays known, with that error."""
        changed = db.execute(
            "UPDATE items SET run = ?, error = ?, state = 'expired', status = 'expired' "
            "WHERE key = ? AND sample = ? AND state = 'finished'",
            (self.run, self._error(work, error), work.key, work.sample),
        )
        if not changed.rowcount and elsewhere is not None:
            self.not_saved(db, work, elsewhere)

    def ready(self, db: Connection, work: Work) -> bool:
        """Let the result of a row be given; tell whether it was, or may have been, paid for before this run."""
        ready = 2 if work.paid_here else 3
        db.execute(
            "UPDATE run.items SET ready = ? WHERE key = ? AND sample = ?", (ready, work.key, work.sample)
        )
        known = "SELECT 1 FROM items WHERE key = ? AND sample = ? AND (prediction_id IS NOT NULL OR status = 'unknown')"
        return not work.paid_here and db.execute(known, (work.key, work.sample)).fetchone() is not None

    def kept(self, db: Connection, work: Work) -> Kept:
        """Read the output of a row that has one."""
        id, output, *rest = db.execute(
            "SELECT prediction_id, output, stored, stored_in, finished_at FROM items WHERE key = ? AND sample = ?",
            (work.key, work.sample),
        ).fetchone()
        return Kept(id or "", None if output is None else json.loads(output), *rest)

    def not_saved(self, db: Connection, work: Work, error: dict[str, Any]) -> None:
        """Write down why the files could not be stored; the next run tries again."""
        db.execute(
            "UPDATE items SET run = ?, error = ? WHERE key = ? AND sample = ?",
            (self.run, self._error(work, error), work.key, work.sample),
        )

    def canceling(self, db: Connection) -> None:
        """Write down that what this run has in flight is about to be canceled, by us."""
        # What was adopted and is not confirmed yet is not canceled: the next run confirms it.
        where = "WHERE run = ? AND state = 'created' AND status IS NOT 'adopted'"
        db.execute(f"UPDATE items SET status = 'canceling' {where}", (self.run,))

    def confirmed(self, db: Connection, work: Work) -> None:
        """Write down that the prediction that somebody settled a row with is the row's."""
        ours = (work.key, work.sample)
        db.execute("UPDATE items SET status = NULL WHERE key = ? AND sample = ? AND state = 'created'", ours)

    def mistaken(self, db: Connection, work: Work, ending: Ending) -> None:
        """Write down that it is not: the row is unknown again, and the prediction free for the row that has it."""
        now = (ending.state, ending.status, self._error(work, ending.error), self.run, time.time())
        db.execute(
            "UPDATE items SET state = ?, status = ?, error = ?, run = ?, finished_at = ?, prediction_id = NULL, "
            "attempts = attempts - 1 WHERE key = ? AND sample = ?",
            (*now, work.key, work.sample),
        )

    def _clear(self, db: Connection, work: Work) -> None:
        """Forget the error of another run."""
        db.execute("UPDATE items SET error = NULL WHERE key = ? AND sample = ?", (work.key, work.sample))

    def at_stake(self, db: Connection) -> int:
        """Count rows that may be paid for and whose output another run may still get."""
        found = db.execute(
            "SELECT COUNT(*) FROM run.items AS r JOIN main.items AS i USING (key, sample) WHERE i.state IN "
            "('intent', 'created', 'unknown') OR (i.state = 'finished' AND i.error IS NOT NULL)"
        )
        return int(found.fetchone()[0])

    def _input(self, work: Work) -> str:
        """What is written down of a row's input."""
        return work.input if self.keeps_inputs else input_hash(work.input)

    def _error(self, work: Work, error: dict[str, Any] | None) -> str | None:
        """What is written down of an error, which may quote the row's input."""
        return _dumped(error if self.keeps_inputs else without_inputs(error, work.input))

    def owners(self, db: Connection, ids: list[str]) -> dict[str, Owner]:
        """Tell which predictions belong to rows already, and what was sent for them."""
        found = db.execute(
            "WITH asked AS (SELECT value FROM json_each(:ids)), owned AS ("
            "SELECT prediction_id, key, model, input, fingerprint FROM items WHERE prediction_id IN asked "
            "UNION ALL SELECT a.prediction_id, a.key, i.model, i.input, i.fingerprint FROM attempts AS a "
            "LEFT JOIN items AS i ON i.rowid = (SELECT MIN(rowid) FROM items WHERE key = a.key) "
            "WHERE a.prediction_id IN asked) "
            "SELECT prediction_id, model IS :model, CASE WHEN substr(input, 1, length(:hashed)) = :hashed "
            "THEN (SELECT input FROM run.rows WHERE key = owned.key LIMIT 1) ELSE input END, fingerprint FROM owned",
            {"ids": json.dumps(ids), "model": self.model, "hashed": HASHED},
        )
        return {id: Owner(bool(is_ours), *rest) for id, is_ours, *rest in found}

    def latest(self, db: Connection, since: float) -> list[str]:
        """The predictions of the newest rows that may have been created after some moment.

        Of the newest only: what is asked again and again must not go through all of a large journal. A create that
        was noted by our own clock may be younger than that says by as much as two clocks may differ.
        """
        # 120 of the 130 seconds are what two clocks may differ by that were never compared (`_UNCOMPARED` of `clocks`).
        found = db.execute(
            "SELECT prediction_id FROM (SELECT * FROM items ORDER BY rowid DESC LIMIT ?) WHERE model = ? AND "
            "prediction_id IS NOT NULL AND state != 'intent' AND sent_at >= ? - iif(clock = 'server', 10, 130) "
            "ORDER BY sent_at",
            (_NEWEST, self.model, since),
        )
        return [id for (id,) in found]

    def _look_at_open(self, db: Connection, work: Work, item: Item) -> Claim:
        """A prediction of it is under way, or may be: of this run, of a living one, or left by a dead one."""
        if item.run != self.run:
            if self._is_alive(item.run):
                return Claim("elsewhere", item.prediction_id if item.state == "intent" else None)
            # In the transaction of the look: of two runs that find what a dead one left, one takes the row over, and
            # the other sees that a living run has it.
            db.execute(
                "UPDATE items SET run = ? WHERE key = ? AND sample = ?", (self.run, work.key, work.sample)
            )
        work.theirs, work.clock = Span(item.sent_at or 0.0, item.settled_at or 0.0), item.clock
        work.ours = work.theirs if item.clock == "ours" else None
        work.fingerprint, work.canceling = item.fingerprint or b"", item.status == "canceling"
        if item.state == "intent":
            return Claim("look up", item.prediction_id)
        return Claim("confirm" if item.status == "adopted" else "attach", item.prediction_id)

    def _archive(self, db: Connection, work: Work) -> None:
        """Put aside what is known of an earlier prediction, unless it is the one that the row still has.

        One that may have been created is put aside without an id: it may have cost.
        """
        # A row in 'created' or 'finished' still has the prediction of which all of this is known. An intent over
        # nothing (`before IS NULL`) has nothing to put aside.
        where = (
            "WHERE key = ? AND sample = ? AND state NOT IN ('created', 'finished') "
            "AND NOT (state = 'intent' AND before IS NULL)"
        )
        db.execute(
            "INSERT OR REPLACE INTO attempts SELECT prediction_id, key, sample, status, error, seconds, cost, "
            f"finished_at FROM items {where} AND (prediction_id IS NOT NULL OR status = 'unknown')",
            (work.key, work.sample),
        )
        db.execute(
            "UPDATE items SET prediction_id = NULL, status = NULL, output = NULL, stored = NULL, stored_in = NULL, "
            f"error = NULL, seconds = NULL, cost = NULL, finished_at = NULL {where}",
            (work.key, work.sample),
        )

    def _is_alive(self, run: str) -> bool:
        """Ask the operating system, once for a run that is dead."""
        # No id of a run is used again, so that a dead run stays dead. A living one may die at any time: we ask about it
        # again.
        if run in self._dead:
            return False
        if self.alive(run):
            return True
        self._dead.add(run)
        return False


def _item(db: Connection, work: Work) -> Item | None:
    """Read what is known of a row."""
    found = db.execute(
        "SELECT state, run, prediction_id, sent_at, settled_at, clock, fingerprint, stored_in, status, finished_at, "
        "stored, seconds FROM items WHERE key = ? AND sample = ?",
        (work.key, work.sample),
    ).fetchone()
    return Item(*found) if found else None


def _has_owner(db: Connection, id: str) -> bool:
    """Whether a prediction belongs to a row."""
    found = db.execute(
        "SELECT 1 FROM items WHERE prediction_id = ? UNION ALL SELECT 1 FROM attempts WHERE prediction_id = ?",
        (id, id),
    )
    return found.fetchone() is not None


def _dumped(value: Any) -> str | None:
    """Pack JSON. Halves of characters, which models may give one by one, are kept as escapes."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
