"""What a row costs in a journal: `python plugins/replicate-kit-postgres/tests/measure.py`.

CPU of this process and time that passes, in microseconds a row, of verbs in groups; SQLite in the same run, whose CPU
includes the database itself.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from replicate_kit.batch.ledgers import Created, Ended, Intent, Key, Ledger, LedgerStore, Run

sys.path.insert(0, str(Path(__file__).parent))

_ROUNDS = 3


async def bring(ledger: Ledger, keys: Sequence[Key]) -> dict[str, tuple[float, float]]:
    """Bring rows from nothing to their end; give the seconds of CPU and of time for each verb."""
    spent: dict[str, tuple[float, float]] = {}

    async def timed(name: str, verb: object) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        answers = await verb  # type: ignore[misc]
        assert len(answers) == len(keys)
        spent[name] = time.process_time() - cpu, time.perf_counter() - wall

    text = '{"prompt":"' + "a wombat on a hill, " * 10 + '"}'
    output = '["https://replicate.delivery/' + "x" * 60 + '"]'
    now = time.time()
    await timed("claim", ledger.claim([Intent(key, text, b"12345678", now, now + 70) for key in keys]))
    await timed("created", ledger.record([Created(key, key.digest.hex()[:26]) for key in keys]))
    ended = [
        Ended(key, key.digest.hex()[:26], "finished", "succeeded", output, None, 1.5, 0.1, now)
        for key in keys
    ]
    await timed("ended", ledger.record(ended))
    await timed("find", ledger.find(keys))
    return spent


async def measure(store: LedgerStore, url: str, size: int, count: int) -> dict[str, tuple[float, float]]:
    """Bring `count` rows to their end in groups of a size."""
    ledger, id = store.ledger(url), uuid.uuid4().hex
    await ledger.open(id)
    await ledger.begin(Run(id, "acme/poet"))
    total: dict[str, tuple[float, float]] = {}
    for _ in range(count // size):
        for name, (cpu, wall) in (
            await bring(ledger, [Key(uuid.uuid4().bytes) for _ in range(size)])
        ).items():
            before = total.get(name, (0.0, 0.0))
            total[name] = before[0] + cpu, before[1] + wall
    await ledger.close()
    return {name: (cpu / count * 1e6, wall / count * 1e6) for name, (cpu, wall) in total.items()}


def main() -> None:
    """Print a table."""
    from replicate_kit.batch._ledger.sqlite import SqliteStore
    from replicate_kit_postgres.store import PostgresStore
    from replicate_kit_postgres.testing import postgres

    assert importlib.util.find_spec("psycopg_binary") or importlib.util.find_spec("psycopg_c")
    print(f"{'':24}{'claim':>14}{'created':>14}{'ended':>14}{'find':>14}{'sum':>14}   CPU/time, µs a row")
    with postgres() as server, tempfile.TemporaryDirectory() as folder:
        for size in (1, 16, 64):
            for name in ("sqlite", "postgres"):
                found = []
                for _ in range(_ROUNDS):
                    store: LedgerStore = SqliteStore() if name == "sqlite" else PostgresStore()
                    url = str(Path(folder, f"{server.new()}.sqlite"))
                    url = url if name == "sqlite" else f"{server.url()}?prefix={server.new()}"
                    found.append(asyncio.run(measure(store, url, size, 256 if size == 1 else 2048)))
                best = min(found, key=lambda each: sum(cpu for cpu, _ in each.values()))
                both = [*best.values(), tuple(map(sum, zip(*best.values(), strict=True)))]
                line = "".join(f"{cpu:>7.0f}/{wall:<6.0f}" for cpu, wall in both)
                print(f"{name:<12}groups of {size:<4}{line}")


if __name__ == "__main__":
    main()
