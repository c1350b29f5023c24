"""What a row costs in a journal: `python plugins/replicate-kit-postgres/tests/measure.py`.

CPU of this process and time that passes, in microseconds a row, of verbs in groups; then the CPU of whole runs over
HTTP on this machine with 64 in flight, and of the PostgreSQL server. SQLite is measured in the same run: its CPU has
the database in it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from replicate_kit import Client
from replicate_kit.batch.ledgers import Created, Ended, Intent, Key, Ledger, LedgerStore, Run
from replicate_kit_postgres.testing import Postgres

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.served import Command

_ROUNDS = 3
_BACKEND = "fast" if importlib.util.find_spec("aiohttp") else "http"


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


def server_cpu(server: Postgres) -> float:
    """The seconds of CPU that a server has used, its sessions that are over included."""
    (postmaster,) = (
        each
        for each in Path("/proc").glob("[0-9]*")
        if f"-p\0{server.port}\0" in _text(each / "cmdline")
        or f"-p {server.port} " in _text(each / "cmdline")
    )
    total = 0.0
    for each in Path("/proc").glob("[0-9]*"):
        fields = _text(each / "stat").rpartition(")")[2].split()
        if each == postmaster or (fields and fields[1] == postmaster.name):
            used = (
                fields[11:15] if each == postmaster else fields[11:13]
            )  # user, system; of children that have ended
            total += sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
    return total


def _text(file: Path) -> str:
    """What a file of /proc says; nothing where its process is gone."""
    with suppress(OSError):
        return file.read_text()
    return ""


def run(client: Client, journal: str, count: int) -> float:
    """The CPU of this process for a row of a run, in microseconds."""
    began = time.process_time()
    rows = ({"prompt": f"{journal} {n}"} for n in range(count))
    results = client.map(
        "acme/quick", rows, journal=journal, concurrency=64, creates_per_minute=6e6, progress=False
    )
    assert sum(each.status == "succeeded" for each in results) == count
    return (time.process_time() - began) / count * 1e6


def runs(server: Postgres, folder: str, count: int) -> None:
    """Compare whole runs, one after the other."""
    model = "from replicate_kit.simulator import model\n\n@model('acme/quick', workers=64)\n"
    Path(folder, "models.py").write_text(f"{model}def quick(prompt: str) -> str:\n    return prompt\n")
    with (
        Command(Path(folder), "models.py", "--quiet") as (_, url, _),
        Client("r8_test", backend=_BACKEND, base_url=url) as client,
    ):
        run(client, str(Path(folder, "first.sqlite")), 500)
        found = dict[str, list[float]](sqlite=[], postgres=[])
        before = server_cpu(server)
        for n in range(_ROUNDS):
            found["sqlite"].append(run(client, str(Path(folder, f"run{n}.sqlite")), count))
            found["postgres"].append(run(client, f"{server.url()}?prefix={server.new()}", count))
        used = (server_cpu(server) - before) / _ROUNDS / count * 1e6
    sqlite, postgres = (min(each) for each in found.values())
    said = (
        f"sqlite {sqlite:.0f}, postgres {postgres:.0f} ({postgres / sqlite:.2f} times), its server {used:.0f}"
    )
    print(f"runs of {count} rows over {_BACKEND}, CPU in µs a row: {said}")


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
        runs(server, folder, 10_000)


if __name__ == "__main__":
    main()
