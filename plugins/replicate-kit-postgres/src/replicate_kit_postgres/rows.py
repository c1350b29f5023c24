"""What becomes of rows: the rules for events, on rows that were read and locked.

`replicate_kit.batch.ledgers` has them in words. Nothing here asks the database: `Rows` says what was read, and collects
what is to be written.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import singledispatchmethod

from replicate_kit.batch import ledgers as door
from replicate_kit.batch.ledgers import Key, input_hash

__all__ = ["Aside", "Row", "Rows", "Rules"]

_ENDED_WITH_OUTPUT = ("finished", "saved", "expired")


@dataclass(slots=True)
class Row:
    """A row as it is in the table; `input` is None where it stays as it is, and so does `output` but for `has_output`.

    `number` is None for one that is new.
    """

    key: Key
    number: int | None
    state: str
    run: int
    sender: int | None = None
    model: str = ""
    before: str | None = None
    fingerprint: bytes | None = None
    attempts: int = 0
    sent_at: float | None = None
    settled_at: float | None = None
    clock: str = "server"
    prediction_id: str | None = None
    payer: int | None = None
    status: str | None = None
    stored: str | None = None
    stored_in: str | None = None
    error: str | None = None
    seconds: float | None = None
    cost: float | None = None
    finished_at: float | None = None
    input: str | None = None
    output: str | None = None
    has_output: bool = False
    """Whether `output` is to be written."""

    @property
    def is_open(self) -> bool:
        """Whether a prediction is under way, or may be."""
        return self.state in ("intent", "created")

    def forget(self) -> None:
        """Forget what is known of a prediction."""
        self.prediction_id = self.payer = self.status = self.stored = self.stored_in = self.error = None
        self.seconds = self.cost = self.finished_at = self.output = None
        self.has_output = True


@dataclass(frozen=True, slots=True)
class Aside:
    """An earlier prediction of a row, or a create of it that cannot be found."""

    key: Key
    prediction_id: str | None
    payer: int | None
    status: str | None
    error: str | None
    seconds: float | None
    cost: float | None
    ended_at: float | None


@dataclass
class Rows:
    """Rows that were read by their keys, who owns predictions, and what has changed of both."""

    known: dict[Key, Row]
    owners: dict[str, Key]
    changed: dict[Key, Row] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)
    aside: list[Aside] = field(default_factory=list)
    named: dict[str, Key] = field(default_factory=dict)
    freed: set[str] = field(default_factory=set)

    def keep(self, row: Row) -> None:
        """Write a row."""
        self.known[row.key] = self.changed[row.key] = row

    def drop(self, row: Row) -> None:
        """Forget a row."""
        del self.known[row.key]
        self.changed.pop(row.key, None)
        if row.number is not None:
            self.gone.add(row.key)

    def give(self, row: Row, id: str) -> bool:
        """Give an intent its prediction; False if that belongs to a row."""
        if id in self.owners:
            return False
        self.put_aside(row)
        self.owners[id] = self.named[id] = row.key
        row.state, row.before, row.prediction_id, row.payer = "created", None, id, row.sender
        row.attempts += 1
        self.keep(row)
        return True

    def put_aside(self, row: Row) -> None:
        """Put aside what is known of an earlier prediction: it has cost, or may have."""
        if row.prediction_id is not None or row.status == "unknown":
            cost = (row.status, row.error, row.seconds, row.cost, row.finished_at)
            self.aside.append(Aside(row.key, row.prediction_id, row.payer, *cost))
        row.forget()

    def free(self, row: Row) -> None:
        """Take its prediction from a row, and all that is known of that; who has paid for the create stays known."""
        id, payer = row.prediction_id, row.payer
        if id is not None:
            self.owners.pop(id, None)
            if self.named.pop(id, None) is None:
                self.freed.add(id)
            row.attempts -= 1
        row.forget()
        row.payer = payer
        self.keep(row)


class Rules:
    """What events of one run do to rows. `happened` says whether an event is accepted."""

    def __init__(self, number: int, run: door.Run) -> None:
        self._number, self._run = number, run

    def claimed(self, rows: Rows, intent: door.Intent) -> bool:
        """Take a row, where that is free or was taken by this very call; tell whether it is the run's now."""
        key, _, *sent = intent
        row = rows.known.get(key)
        if row is None:
            row = Row(key, None, "intent", self._number, model=self._run.model)
        elif not row.is_open and row.state in self._run.redo:
            row.before, row.state, row.run = row.state, "intent", self._number
        else:
            found = [bytes(row.fingerprint or b""), row.sent_at, row.settled_at, row.clock]
            return (row.state, row.run) == ("intent", self._number) and found == sent
        row.fingerprint, row.sent_at, row.settled_at, row.clock = intent[2:]
        row.sender, row.input = self._number, self.kept(intent.input)
        rows.keep(row)
        return True

    def kept(self, input: str) -> str:
        """What the journal holds of an input."""
        return input if self._run.keeps_inputs else input_hash(input)

    def _mine(self, rows: Rows, key: Key, state: str) -> Row | None:
        """A row that this run has in a state."""
        row = rows.known.get(key)
        return row if row is not None and (row.state, row.run) == (state, self._number) else None

    def _with_output(self, rows: Rows, key: Key, states: Collection[str] = _ENDED_WITH_OUTPUT) -> Row | None:
        """A row that has ended in one of these states, which this run writes to."""
        row = rows.known.get(key)
        if row is None or row.state not in states:
            return None
        row.run = self._number
        rows.keep(row)
        return row

    @singledispatchmethod
    def happened(self, event: door.Event, rows: Rows) -> bool:
        """Do what an event says, if the row is as it says."""
        raise TypeError(f"{event!r} is no event of a ledger.")

    @happened.register
    def _(self, event: door.Created, rows: Rows) -> bool:
        row = rows.known.get(event.key)
        if row is None or row.run != self._number:
            return False
        if row.state != "intent":
            return row.prediction_id == event.prediction_id
        return rows.give(row, event.prediction_id)

    @happened.register
    def _(self, event: door.Withdrawn, rows: Rows) -> bool:
        row = rows.known.get(event.key)
        if row is None or not row.is_open:
            return True
        # If another run has taken the row over, its intent may be that of a create that was sent.
        if self._mine(rows, event.key, "intent") is None:
            return False
        if row.before is None:
            rows.drop(row)
        else:
            row.state, row.before = row.before, None
            rows.keep(row)
        return True

    @happened.register
    def _(self, event: door.Refused, rows: Rows) -> bool:
        key, input, state, error = event
        row = rows.known.get(key)
        said = (self._number, state, "rejected", error)
        if row is not None and (row.run, row.state, row.status, row.error) == said:
            return True  # this very event came before
        if self._mine(rows, key, "intent") is not None:
            self.happened(door.Withdrawn(key), rows)
            row = rows.known.get(key)
        if row is None:
            row = Row(key, None, state, self._number, model=self._run.model)
        elif row.is_open or row.state not in self._run.redo:
            return False
        # Left to the next run, it must not make that pay again for what has failed without being asked.
        elif row.state in ("unknown", "expired") or (row.state, state) == ("failed", "canceled"):
            row.run, row.error = self._number, error
            rows.keep(row)
            return True
        rows.put_aside(row)
        row.state, row.run, row.status, row.error = state, *said[:1], *said[2:]
        row.input, row.finished_at = self.kept(input), time.time()
        rows.keep(row)
        return True

    @happened.register
    def _(self, event: door.Ended, rows: Rows) -> bool:
        row, id = rows.known.get(event.key), event.prediction_id
        if row is None or (row.is_open and row.run != self._number):
            return False
        if id is None:
            if event.state != "unknown" or not self._may_be_unknown(row):
                return False
            if row.state == "intent":
                rows.put_aside(row)
                row.payer = row.sender
        elif row.state == "intent":
            if not rows.give(row, id):
                return False
        elif row.prediction_id != id:
            return False
        row.state, row.run, row.before, row.prediction_id = event.state, self._number, None, id
        row.status, row.output, row.error, row.has_output = event.status, event.output, event.error, True
        row.seconds = event.seconds if row.seconds is None else row.seconds
        row.cost = event.cost if row.cost is None else row.cost
        row.finished_at = event.finished_at
        rows.keep(row)
        return True

    def _may_be_unknown(self, row: Row) -> bool:
        """Whether a row is an intent of this run, or one that it has given up before."""
        nameless = (row.state, row.prediction_id, row.run) == ("unknown", None, self._number)
        return row.state == "intent" or nameless

    @happened.register
    def _(self, event: door.Canceling, rows: Rows) -> bool:
        row = self._mine(rows, event.key, "created")
        # What was adopted and is not confirmed yet is not canceled: the next run confirms it.
        if row is None or row.status == "adopted":
            return False
        row.status = "canceling"
        rows.keep(row)
        return True

    @happened.register
    def _(self, event: door.Confirmed, rows: Rows) -> bool:
        row = self._mine(rows, event.key, "created")
        if row is None or row.prediction_id != event.prediction_id:
            return False
        row.status = None if row.status == "adopted" else row.status
        rows.keep(row)
        return True

    @happened.register
    def _(self, event: door.Disowned, rows: Rows) -> bool:
        key, id, error, at = event
        row = self._mine(rows, key, "created")
        if row is None or (row.status, row.prediction_id) != ("adopted", id):
            again = self._mine(rows, key, "unknown")
            return again is not None and (again.prediction_id, again.error) == (None, error)
        rows.free(row)
        row.state, row.status, row.error, row.finished_at = "unknown", "unknown", error, at
        return True

    @happened.register
    def _(self, event: door.Saved, rows: Rows) -> bool:
        if (row := self._with_output(rows, event.key)) is None:
            return False
        row.state, row.status, row.stored, row.stored_in, row.error = "saved", "succeeded", *event[1:], None
        return True

    @happened.register
    def _(self, event: door.Unsaved, rows: Rows) -> bool:
        if (row := self._with_output(rows, event.key, ("finished", "saved"))) is None:
            return False
        row.error = event.error
        return True

    @happened.register
    def _(self, event: door.Expired, rows: Rows) -> bool:
        if (row := self._with_output(rows, event.key)) is None:
            return False
        row.state, row.status, row.error = "expired", "expired", event.error
        return True
