"""What a ledger is told and tells: keys of rows, intents, entries, events. All of it is immutable.

    intent ──► created ──► finished ──► saved
      │           ├──────► failed
      │           ├──────► canceled    by us, or interrupted: created again
      │           └──────► expired     paid, output gone
      └──────────────────► unknown     may have been created, cannot be found; somebody may settle it:
                                       created, with an id that a run confirms; or canceled

They are named tuples, as a run makes several for each row: a frozen dataclass of ten fields takes three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Literal, NamedTuple

__all__ = [
    "Canceling",
    "Clock",
    "Confirmed",
    "Created",
    "Disowned",
    "Ended",
    "Entry",
    "Event",
    "Expired",
    "Holder",
    "Intent",
    "Key",
    "Name",
    "Owner",
    "Refused",
    "Retry",
    "Retryable",
    "Run",
    "Saved",
    "State",
    "Unsaved",
    "Withdrawn",
]

State = Literal["intent", "created", "finished", "saved", "failed", "canceled", "unknown", "expired"]
Holder = Literal["ours", "theirs", "nobody"]
Clock = Literal["server", "ours"]
Retry = Literal["failed", "unknown", "expired"]
Retryable = Retry | Sequence[Retry] | Set[Retry]


class Key(NamedTuple):
    """Which row: the digest of its model and canonical input, and which of equal rows that share no prediction."""

    digest: bytes
    sample: int = 0


class Run(NamedTuple):
    """What a ledger has to know of a run that is about to pay.

    `redo` are the states of rows that it pays for again. Without `keeps_inputs` the ledger holds hashes in place of
    inputs. `account` is a digest of the API token, and `shown` a prediction
    that this account was shown already. `pin` is a reference and the version that it is held to from now on. `label` is
    what the predictions that this run sends are added up by.
    """

    id: str
    model: str
    rows: int = 0
    redo: frozenset[str] = frozenset({"canceled"})
    keeps_inputs: bool = True
    account: str | None = None
    shown: str | None = None
    pin: tuple[str, str] | None = None
    label: str | None = None


class Intent(NamedTuple):
    """A create that is about to be sent: its canonical input, and the fingerprint of what is sent.

    The server may act on it between `sent_at` and `settled_at`, Unix times in seconds by the server's clock, or by ours
    where the server's was never seen (`clock`).
    """

    key: Key
    input: str
    fingerprint: bytes
    sent_at: float
    settled_at: float
    clock: Clock = "server"


class Entry(NamedTuple):
    """What a ledger knows of a row. `output`, `stored` and `error` are JSON texts.

    `holder` says who has a row in the state "intent" or "created": this run, another one that lives, or nobody any
    more; nobody has a row in another state. `before` is the state that an intent would leave behind if it came to
    nothing; other states have none. While the row is an intent, all but the fingerprint and the times is what is known
    of its earlier prediction. `account` is the digest of the token of the run that wrote to it last.
    """

    key: Key
    state: State
    holder: Holder = "nobody"
    before: State | None = None
    prediction_id: str | None = None
    status: str | None = None
    output: str | None = None
    stored: str | None = None
    stored_in: str | None = None
    error: str | None = None
    seconds: float | None = None
    cost: float | None = None
    finished_at: float | None = None
    fingerprint: bytes = b""
    sent_at: float = 0.0
    settled_at: float = 0.0
    clock: Clock = "server"
    account: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a prediction of it is under way, or may be."""
        return self.state in ("intent", "created")

    @property
    def is_known(self) -> bool:
        """Whether it has a prediction, or may have one that nobody could find."""
        return self.prediction_id is not None or self.status == "unknown"

    @property
    def is_billed(self) -> bool:
        """Whether its prediction is billed, or may be: one that never began is not."""
        return self.is_known and self.status != "aborted"


class Owner(NamedTuple):
    """The row that a prediction belongs to: whether it is of the run's model, and what was sent for it.

    `input` is None where the ledger holds a hash of it alone.
    """

    key: Key
    is_of_model: bool
    input: str | None
    fingerprint: bytes | None


class Name(NamedTuple):
    """The name of a file in a folder, for a row."""

    folder: str
    name: str
    key: Key


# What happens to a row. Each is refused (False) where the row is not as it says, since somebody else has it by now; it
# has then changed nothing, except where it says so. The same event again, with nothing after it, gives the same answer
# and leaves the row as it is. What a dead run has left open is nobody's until a run takes it over: till then, all are
# refused. Nothing takes a row over but `take_over`.
# Errors come without what they quote of inputs where the ledger is to hold none.


class Created(NamedTuple):
    """The intent of this run has this prediction. Refused where the prediction belongs to a row already.

    An earlier prediction of any row counts, and so does what the row itself had before this intent. It is accepted,
    and changes nothing, where this run has written the row last and this is the prediction that the row has. The first
    one of a run is what its account was shown, unless `Run.shown` has named another.
    """

    key: Key
    prediction_id: str


class Withdrawn(NamedTuple):
    """The intent of this run certainly came to nothing: the row is again what it was before.

    A row that was nothing before is not known any more. Accepted, without a change, where nothing of the row is under
    way: then that is so already. Refused where its prediction has an id, or another run has it.
    """

    key: Key


class Refused(NamedTuple):
    """The row was not accepted: by the API ("failed"), or before anything was sent ("canceled").

    The next run tries what is "canceled" again. The status is "rejected". An intent of this run is withdrawn with it.
    What was paid for before, and may be there again, stays known: then only the error is new. That is a row that was
    unknown or expired, and for "canceled" one that had failed, too: the next run must not pay for it unasked. Any other
    that is paid for again is put aside with its prediction. Refused itself where another run has the row, its
    prediction has an id and has not ended, or it has an end that is not paid for again; an intent of this run is
    withdrawn then, too.
    """

    key: Key
    input: str
    state: Literal["failed", "canceled"]
    error: str


class Ended(NamedTuple):
    """How the prediction came out: for an intent of this run, too, which it then had never been told the id of.

    For an intent it is as if `Created` came first: refused where the prediction belongs to a row already. Without a
    `prediction_id` it is an intent of this run that stays "unknown", and nothing else. A row that has ended before with
    this very prediction, in whichever state and run, is what it is now: an output that was looked at again. Where its
    files are stored stays known. What it has cost stays as it was first known. One whose output was gone when it was
    first seen is "finished" without an output, and then `Expired`.

    `used` is by the names of metrics what the prediction used of those that its run was told the most of; like its cost
    it stays as it was first known.
    """

    key: Key
    prediction_id: str | None
    state: Literal["finished", "failed", "canceled", "unknown"]
    status: str
    output: str | None
    error: str | None
    seconds: float | None
    cost: float | None
    finished_at: float
    used: Mapping[str, float] = {}


class Canceling(NamedTuple):
    """The prediction is about to be canceled by this run: its status is "canceling".

    Refused for one that was adopted (its status) and is not confirmed yet, and for one that this run does not have.
    """

    key: Key


class Confirmed(NamedTuple):
    """The prediction that somebody settled the row with is the row's: its status is not "adopted" any more.

    Refused where this run does not have the row, in the state "created" and with this prediction.
    """

    key: Key
    prediction_id: str


class Disowned(NamedTuple):
    """It is not: the row is unknown again, and the prediction free for the row that has it.

    Refused unless this run has the row, and its prediction is adopted and not confirmed.
    """

    key: Key
    prediction_id: str
    error: str
    at: float


class Saved(NamedTuple):
    """The files of the output are stored (`stored`, JSON) in a folder or at a URL; it has no error any more.

    Of a row that is finished, saved (then it is stored here now) or expired (its files are back, and it has succeeded).
    """

    key: Key
    stored: str
    stored_in: str


class Unsaved(NamedTuple):
    """They could not be stored, and the next run tries again. Only the error is new.

    Of a row that is finished, or saved elsewhere.
    """

    key: Key
    error: str


class Expired(NamedTuple):
    """Its files are gone: from where they were stored, too. What was known of them stays known.

    Of a row that is finished, saved or expired already.
    """

    key: Key
    error: str


Event = Created | Withdrawn | Refused | Ended | Canceling | Confirmed | Disowned | Saved | Unsaved | Expired
