"""A run owns its rows as long as its lease lasts, and writes nothing after that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from replicate_kit.batch.ledgers import Ended, Name, Run, Withdrawn, elapsed
from replicate_kit.errors import JournalError
from replicate_kit_postgres.ledger import PostgresLedger
from replicate_kit_postgres.store import PostgresStore
from replicate_kit_postgres.tables import lock
from replicate_kit_postgres.testing import Postgres, bouncing

from .ledgers import KEYS, expire, intent, opened, prediction

Verb = Callable[[PostgresLedger], Awaitable[Any]]

_VERBS: dict[str, Verb] = {
    "begin": lambda ledger: ledger.begin(Run("again", "acme/poet", pin=("acme/poet", "v9"))),
    "claim": lambda ledger: ledger.claim([intent(5)]),
    "take_over": lambda ledger: ledger.take_over(KEYS),
    "created": lambda ledger: ledger.record([prediction(0)]),
    "ended": lambda ledger: ledger.record(
        [Ended(KEYS[1], "p1", "finished", "succeeded", '"a poem"', None, 1.0, 1.0, 9.0)]
    ),
    "withdrawn": lambda ledger: ledger.record([Withdrawn(KEYS[0])]),
    "take_names": lambda ledger: ledger.take_names([Name("/srv", "a.png", KEYS[0])]),
}


@pytest.fixture
def url(server: Postgres) -> str:
    return f"{server.url()}?prefix={server.new()}"


def contents(server: Postgres, url: str) -> list[list[tuple[object, ...]]]:
    """All rows of all tables but what is noted of runs alone."""
    prefix = url.partition("prefix=")[2].partition("&")[0]
    tables = ("items", "attempts", "predictions", "names", "pins")
    return [server.execute(f"SELECT * FROM {prefix}_{table} ORDER BY 1, 2") for table in tables]


@pytest.mark.parametrize("is_taken", [False, True], ids=["over", "taken"])
@pytest.mark.parametrize("name", _VERBS)
def test_a_run_that_is_over_writes_nothing(server: Postgres, url: str, name: str, is_taken: bool) -> None:
    async def tell() -> None:
        async with opened(url) as ours, opened(url) as theirs:
            await ours.claim([intent(0), intent(1)])
            await ours.record([prediction(1)])
            await theirs.claim([intent(2)])
            expire(ours)
            if is_taken:
                taken = await theirs.take_over([KEYS[0]])
                assert [each and each.holder for each in taken] == ["ours"]
            before = contents(server, url)
            with pytest.raises(JournalError, match="was not heard of"):
                await _VERBS[name](ours)
            assert contents(server, url) == before
            assert ours.lost is not None
            assert "recorded" in await ours.rescue()
            with pytest.raises(JournalError, match="was not heard of"):
                await ours.find(KEYS)

    asyncio.run(tell())


def test_whose_rows_were_taken_is_not_revived_by_a_clock_that_goes_back(server: Postgres, url: str) -> None:
    async def tell() -> None:
        async with opened(url) as ours, opened(url) as theirs:
            await ours.claim([intent(0), intent(1)])
            expire(ours)
            await theirs.take_over([KEYS[0]])
            prefix = url.partition("prefix=")[2]
            server.execute(f"UPDATE {prefix}_runs SET lease_until = clock_timestamp() + interval '1 hour'")
            with pytest.raises(JournalError):
                await ours.record([prediction(1)])
            found = await theirs.find([KEYS[0], KEYS[1]])
            assert [each and each.holder for each in found] == ["ours", "nobody"]

    asyncio.run(tell())


def test_a_lease_is_renewed_as_long_as_the_run_lasts(url: str) -> None:
    async def tell() -> None:
        async with opened(f"{url}&lease=2") as ours, opened(url) as theirs:
            first = ours.lease_until
            assert elapsed() < first <= elapsed() + 2
            await ours.claim([intent(0)])
            await until(lambda: elapsed() > first)
            assert ours.lease_until > elapsed()
            (found,) = await theirs.find([KEYS[0]])
            assert found is not None
            assert found.holder == "theirs"

    asyncio.run(tell())


def test_a_lease_begins_when_nobody_else_holds_the_journal(server: Postgres, url: str) -> None:
    async def tell() -> None:
        ledger = PostgresStore().ledger(url)
        with psycopg.connect(server.url()) as db:
            lock(db, ledger.address)
            opening = asyncio.ensure_future(ledger.open("late"))
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await until(lambda: server.execute(waits) == [(1,)])
            began = elapsed()
        await opening
        assert ledger.lease_until >= began + ledger.address.lease
        await ledger.close()

    asyncio.run(tell())


def test_a_run_that_lost_its_lease_hears_of_it(url: str) -> None:
    async def tell() -> None:
        async with opened(f"{url}&lease=2") as ours:
            expire(ours)
            await until(lambda: ours.lost is not None)

    asyncio.run(tell())


def test_a_run_that_does_not_reach_the_server_is_over_when_its_lease_is(server: Postgres, url: str) -> None:
    async def tell() -> None:
        with bouncing(server) as port:
            through = url.replace(str(server.port), str(port))
            ledger = opened(f"{through}&lease=2&connect_timeout=2")
            ours = await ledger.__aenter__()
            await ours.claim([intent(0)])
        with pytest.raises(JournalError):
            await ours.record([prediction(0)])
        assert ours.lost is None or elapsed() >= ours.lease_until
        await until(lambda: ours.lost is not None)
        assert elapsed() >= ours.lease_until
        await ledger.__aexit__(None, None, None)
        async with opened(url) as theirs:
            (found,) = await theirs.take_over([KEYS[0]])
            assert found is not None
            assert found.holder == "ours"

    asyncio.run(tell())


def test_a_connection_that_was_cut_is_made_again(server: Postgres, url: str) -> None:
    async def tell() -> None:
        async with opened(url) as ours:
            for n in range(3):
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'replicate-kit'"
                )
                assert list(await ours.claim([intent(n)])) == [None]
            found = await ours.find(KEYS[:3])
            assert [each and each.state for each in found] == ["intent"] * 3

    asyncio.run(tell())


def test_a_process_that_stops_within_a_transaction_holds_nobody_up_for_long(url: str) -> None:
    async def tell() -> None:
        async with opened(url) as ours:
            assert ours._writer is not None
            shown = "SELECT current_setting('idle_in_transaction_session_timeout')"
            found = await ours._do(lambda db: db.execute(shown.encode()).fetchone(), ours._writer.fence)
            assert found == ("10s",)

    asyncio.run(tell())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes no more than half a minute."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what it waits for is on another thread
            await asyncio.sleep(0.02)
