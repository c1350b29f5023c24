"""What is to be done next about a row, by what the ledger knows of it."""

from __future__ import annotations

import enum
import time
from typing import NamedTuple

from replicate_kit.batch._ledger.entries import Entry
from replicate_kit.batch._ledger.stored import state_now

__all__ = ["Rules", "Step", "as_it_is", "next_step"]


class Step(enum.Enum):
    """What is to be done about a row."""

    CREATE = enum.auto()
    """Nothing is known of it, or it is paid for again."""
    SEARCH = enum.auto()
    """A create of ours was sent, or about to be, and its outcome is unknown."""
    ATTACH = enum.auto()
    """It has a prediction of ours that has not ended yet, as far as we know."""
    CONFIRM = enum.auto()
    """Somebody has settled it with a prediction: see whether that is its own."""
    TAKE_OVER = enum.auto()
    """A dead run has left it open."""
    WAIT = enum.auto()
    """A living run has it."""
    CHECK = enum.auto()
    """Its output has files that may have expired."""
    SAVE = enum.auto()
    """Its files are to be stored."""
    GIVE = enum.auto()
    """It has its result."""


class Rules(NamedTuple):
    """What a run does about rows that it finds: the states that it pays for again, and where it stores files.

    Outputs with files that were finished before `fresh_since` (a Unix time) may have expired; 0: they have no files.
    """

    redo: frozenset[str]
    save_to: str | None = None
    fresh_since: float = 0.0


def as_it_is(entry: Entry) -> Entry:
    """An entry as the disk has it: stored files may have gone since, or have come back."""
    if entry.stored is None:
        return entry
    state = state_now(entry.state, entry.stored, entry.stored_in)
    if state == "gone":
        return entry._replace(state="finished", status="succeeded", error=None)
    if state == "saved" and entry.state != "saved":
        return entry._replace(state="saved", status="succeeded", error=None)
    return entry


def next_step(entry: Entry | None, rules: Rules) -> Step:
    """Say what is to be done about a row; the entry is one `as_it_is`."""
    # All states but these two are over, except for "unknown": that may still be under way, and is paid for again only
    # where the caller asks for it.
    if entry is None or entry.state in rules.redo:
        return Step.CREATE
    if entry.is_open:
        return _open(entry)
    if rules.save_to is not None and (
        entry.state == "finished" or (entry.state == "saved" and entry.stored_in != rules.save_to)
    ):
        return Step.SAVE
    if entry.state == "finished" and not _is_fresh(entry.finished_at or 0.0, rules.fresh_since):
        return Step.CHECK
    return Step.GIVE


def _open(entry: Entry) -> Step:
    """What is to be done about a row of which a prediction is under way, or may be."""
    if entry.holder != "ours":
        return Step.WAIT if entry.holder == "theirs" else Step.TAKE_OVER
    if entry.state == "intent":
        return Step.SEARCH
    return Step.CONFIRM if entry.status == "adopted" else Step.ATTACH


def _is_fresh(finished_at: float, since: float) -> bool:
    """Whether files that were finished then are still there; a time to come is that of a clock that was set."""
    return not since or since <= finished_at <= time.time()
