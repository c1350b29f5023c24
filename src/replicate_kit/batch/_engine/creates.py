"""A create, and between which moments the server may act on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from replicate_kit._unresolved.clocks import Span
from replicate_kit.batch._ledger.entries import Intent

if TYPE_CHECKING:
    from replicate_kit._unresolved.clocks import Clocks
    from replicate_kit.batch._ledger.entries import Clock, Entry
    from replicate_kit.batch._plan.spool import Item

__all__ = ["SentCreate", "TooLate", "check_in_time", "intent_of", "left_open", "sent_at"]

_SEND_WITHIN = 10.0  # seconds from the claim; a create that is later is claimed again


class TooLate(Exception):
    """A create must not be sent any more. Nobody outside of the engine sees it."""


class SentCreate(NamedTuple):
    """A create that was sent: what, and when the server may act on it.

    `theirs` is that time by the server's clock, as it was written down, or by ours where `clock` says so; `ours` by our
    own, where this run has sent it or knows no better. `latest` is when, by our clock, a create of a dead run has been
    acted on.
    """

    item: Item
    fingerprint: bytes
    theirs: Span
    ours: Span | None = None
    clock: Clock = "server"
    latest: float = math.inf

    @property
    def input(self) -> str:
        """Its canonical input."""
        return self.item.input

    def gave_up(self, clocks: Clocks, timeout: float) -> SentCreate:
        """The same, as it was not answered: it may have waited before it was sent, and is acted on yet."""
        assert self.ours is not None
        return self._replace(ours=Span(self.ours.first, max(self.ours.last, clocks.now() + timeout)))


def intent_of(item: Item, fingerprint: bytes, now: float, clocks: Clocks, settling: float) -> Intent:
    """What is written down of a create before it is sent: between which moments the server may act on it."""
    theirs = clocks.theirs(Span(now, now + _SEND_WITHIN + settling))
    return Intent(item.key, item.input, fingerprint, *theirs, _clock(clocks))


def check_in_time(claimed_at: float, now: float, lease: float, needs: float) -> None:
    """Raise `TooLate` for a create that nobody would look for any more, or would look for before it is on its way.

    `lease` are the seconds for which the rows are certainly this run's, `needs` those that sending takes at most.
    """
    if now > claimed_at + _SEND_WITHIN or lease < needs:
        raise TooLate


def sent_at(now: float, item: Item, fingerprint: bytes, clocks: Clocks, settling: float) -> SentCreate:
    """A create that is sent now: the server has less time to act on it than was written down."""
    ours = Span(now, now + settling)
    return SentCreate(item, fingerprint, clocks.theirs(ours), ours, _clock(clocks))


def left_open(item: Item, entry: Entry, clocks: Clocks, settling: float) -> SentCreate:
    """A create that a dead run has sent: the server has it by now, whatever the clocks have shown since."""
    # A run with a shorter timeout, or an earlier version, may have noted less time than a server needs.
    theirs = Span(entry.sent_at, max(entry.settled_at, entry.sent_at + settling))
    return SentCreate(
        item,
        entry.fingerprint,
        theirs,
        theirs if entry.clock == "ours" else None,
        entry.clock,
        latest=clocks.now() + settling,
    )


def _clock(clocks: Clocks) -> Clock:
    """By which clock we tell when a server acts."""
    return "server" if clocks.compared else "ours"
