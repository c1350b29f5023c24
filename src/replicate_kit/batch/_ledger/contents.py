"""All that a ledger holds, value by value: what one gives and another takes where a journal is copied.

Runs come first, as rows name them, and rows before the earlier tries of them. What follows from that is not there: who
has a row that is open, which is nobody, and whose a prediction is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from replicate_kit.batch._ledger.entries import Entry, Key, Name

__all__ = ["Content", "EarlierTry", "KeptRow", "PastRun", "Pin", "Used"]


class PastRun(NamedTuple):
    """A run that has begun, in the order in which they came; `began_at` is a Unix time.

    The others are what it began with (see `Run`), but for `shown`: the prediction that its account was shown.
    """

    id: str
    model: str
    rows: int
    began_at: float
    account: str | None = None
    shown: str | None = None
    label: str | None = None


class Pin(NamedTuple):
    """The version that a reference is held to, since a Unix time."""

    reference: str
    version: str
    pinned_at: float


class KeptRow(NamedTuple):
    """A row, in the order in which they came, as a `Record` has it; nobody has it, even if it is open.

    `run` is the id of the run that wrote to it last. `payer` is the label of the run that has sent the create of its
    prediction, and `sender`, of an intent, that of the run that has sent this; both are None where there is none.
    """

    entry: Entry
    model: str
    input: str
    attempts: int
    run: str
    sender: str | None = None
    payer: str | None = None


class EarlierTry(NamedTuple):
    """An earlier prediction of a row, or without an id a create of it that cannot be found; it has cost, or may have.

    `ended_at` is a Unix time, and `payer` the label of the run that has sent its create.
    """

    key: Key
    prediction_id: str | None
    status: str | None
    error: str | None
    seconds: float | None
    cost: float | None
    ended_at: float | None
    payer: str | None = None


class Used(NamedTuple):
    """What a prediction used of metrics, as `Ended` had it."""

    prediction_id: str
    metrics: Mapping[str, float]


Content = PastRun | Pin | KeptRow | EarlierTry | Used | Name
"""One of them; a `Name` is that of a file."""
