"""Kills processes of an engine at random moments, and counts what an API with bad manners was paid.

Each package for an engine has a script `kills.py [MOMENTS] [ROWS] [SEED]` that says how it runs prompts, and which
processes may die.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from replicate_kit import Client
from replicate_kit_postgres.testing import postgres
from tests.paying import BAD_MANNERS, MODEL, PaidApi, paid_api

__all__ = ["Seen", "asked", "descendants", "search"]

Run = Callable[[str, Sequence[str], dict[str, Any]], list[Any]]
"""Runs a model over prompts, with options; gives the outputs in their order."""
Find = Callable[[], Sequence[int]]
"""The processes of which one may be killed."""


class Seen(NamedTuple):
    """How many moments came to a kill, and at how many a row was lost or paid twice."""

    killed: int = 0
    wrong: int = 0


def asked(arguments: Sequence[str] = sys.argv[1:]) -> tuple[int, int, int]:
    """Moments, rows and seed, as the command line has them."""
    moments, rows, seed = [*map(int, arguments), *(20, 400, 1)[len(arguments) :]]
    return moments, rows, seed


def search(what: str, run: Run, find: Find, moments: int, rows: int, seed: int) -> Seen:
    """Kill one of its processes at each moment, with a journal of its own."""
    dice, seen = random.Random(f"{what} {seed}"), list[Seen]()
    with postgres() as database, paid_api(BAD_MANNERS) as api:
        client = Client("r8_test", base_url=api.url, backend="http", timeout=1.0, poll_interval=0.1)
        options = {"client": client, "send_token": True, "creates_per_minute": 60_000, "concurrency": 8}
        for number in range(moments):
            options["journal"] = f"{database.url()}?prefix={database.new()}&lease=8"
            seen.append(_disturbed(f"{what} {number:03}", run, find, api, options, rows, dice))
    total = Seen(*map(sum, zip(*seen, strict=True)))
    print(f"{what}, seed {seed}: {total.killed} of {moments} killed, {total.wrong} wrong", flush=True)
    return total


def _disturbed(
    tag: str, run: Run, find: Find, api: PaidApi, options: dict[str, Any], rows: int, dice: random.Random
) -> Seen:
    """Kill at one moment, and run the rows once more, which pays nothing."""
    prompts, began = [f"{tag} {n:04}" for n in range(rows)], time.monotonic()
    at, killed, over = dice.randrange(1, rows), list[int](), threading.Event()

    def strike() -> None:
        found: Sequence[int] = []
        while not over.wait(0.01):
            if found and len(api.paid(tag)) >= at:
                killed.append(dice.choice(found))
                os.kill(killed[0], signal.SIGKILL)
                return
            found = find()  # beforehand: it takes time

    striking = threading.Thread(target=strike)
    striking.start()
    try:
        found = run(MODEL, prompts, options)
    finally:
        over.set()
        striking.join()
    again = run(MODEL, prompts, options)
    paid, expected = api.paid(tag), [f"out:{each}" for each in prompts]
    missing = sum(one != other for one, other in zip(found, expected, strict=True))
    print(
        f"{tag}: {'killed' if killed else 'not killed'} at {at} of {rows} rows: {len(paid)} paid, "
        f"{len(paid) - len(set(paid))} twice, {missing} without their output, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return Seen(len(killed), not (sorted(paid) == prompts and found == again == expected))


def descendants(text: str) -> dict[int, int]:
    """The processes that come from this one and have a text in their command; with the parent of each."""
    parents = {int(each.name): _parent(each) for each in Path("/proc").iterdir() if each.name.isdigit()}
    found: dict[int, int] = {}
    ours = {os.getpid()}
    while ours:
        ours = {id for id, parent in parents.items() if parent in ours}
        found |= {id: parents[id] for id in ours}
    return {id: parent for id, parent in found.items() if text in _read(Path(f"/proc/{id}/cmdline"))}


def _parent(process: Path) -> int:
    said = _read(process / "stat").rpartition(")")[2].split()
    return int(said[1]) if said else 0


def _read(path: Path) -> str:
    """Read what is said of a process; nothing of one that is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""
