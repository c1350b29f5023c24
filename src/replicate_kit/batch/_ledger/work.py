"""What the steps of the journal take and give: a row to be done, what is known of it, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._unresolved.clocks import Span
from replicate_kit.batch._ledger.stored import Lost, lost_files

__all__ = ["Claim", "Clock", "Ending", "Item", "Kept", "Verdict", "Work"]

Clock = Literal["server", "ours"]
Verdict = Literal["create", "done", "attach", "confirm", "look up", "elsewhere", "save", "check"]


@with_safe_repr
@dataclass(slots=True, eq=False)
class Work:
    """One distinct row to be done: its key, the position where it came first, and how often it comes.

    The rest is what a run remembers of it meanwhile: how often it was tried again, whether money is set aside
    for it, and the create that was sent: what, and when the server may act on it, by its own clock (`theirs`)
    and, where this run has sent it or knows no better, by ours (`ours`). `clock` says which one `theirs` was
    told from. `latest` is when, by our clock, a create of a dead run has been acted on. `paid_here` says that this
    run created it. `earlier` is the prediction that it had when another run was about to create one.
    """

    key: bytes
    sample: int
    pos: int
    input: str
    copies: int = 1
    attempts: int = 0
    reserved: bool = False
    fingerprint: bytes = b""
    ours: Span | None = None
    theirs: Span = field(default=Span(0.0, 0.0))
    clock: Clock = "server"
    latest: float = math.inf
    canceling: bool = False
    paid_here: bool = False
    earlier: str | None = None


class Claim(NamedTuple):
    """What is to be done about a row, the prediction that it has, and whether that is billed: for how many seconds.

    Where the row is elsewhere, the prediction is the one that it had before.
    """

    verdict: Verdict
    prediction_id: str | None = None
    billed: bool = False
    seconds: float | None = None


class Kept(NamedTuple):
    """What there is of a row's output: as it came, as it was stored, and when (Unix time) its prediction has ended."""

    prediction_id: str
    output: Any
    stored: str | None
    stored_in: str | None
    finished_at: float | None

    @property
    def lost(self) -> list[Lost]:
        """Its files that were stored and are not there any more."""
        return lost_files(self.stored, self.stored_in)


class Item(NamedTuple):
    """What the journal knows of a row."""

    state: str
    run: str
    prediction_id: str | None
    sent_at: float | None
    settled_at: float | None
    clock: Clock
    fingerprint: bytes | None
    stored_in: str | None
    status: str | None
    finished_at: float | None
    stored: str | None
    seconds: float | None

    @property
    def billed(self) -> bool:
        """Whether its prediction is billed, or may be: one that never began is not."""
        known = self.prediction_id is not None or self.status == "unknown"
        return known and self.status != "aborted"


@with_safe_repr
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a prediction ended: the state of its row, the API's status, output, error, seconds and cost.

    `ago` is how many seconds before now, where that was not just now.
    """

    state: str
    status: str
    output: Any = None
    error: dict[str, Any] | None = None
    seconds: float | None = None
    cost: float | None = None
    ago: float = 0.0

    def costing(self, cost: float | None) -> Ending:
        """The same with its cost."""
        return replace(self, cost=cost)

    def seen(self, ago: float) -> Ending:
        """The same with the seconds since then."""
        return replace(self, ago=ago)

    def final(self) -> Ending:
        """The same as an end that no other attempt follows; what never began, the next run may create again."""
        return self if self.status == "aborted" else replace(self, state="failed")
