"""A run waits for a server that is away, and its verbs are done once, however often they are sent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from replicate_kit.batch.ledgers import Ended, Withdrawn, elapsed
from replicate_kit.errors import JournalError
from replicate_kit_postgres import connecting
from replicate_kit_postgres import ledger as ledgers
from replicate_kit_postgres.addresses import address_of
from replicate_kit_postgres.connecting import Connection, Database
from replicate_kit_postgres.ledger import PostgresLedger
from replicate_kit_postgres.testing import Postgres

from .ledgers import KEYS, intent, opened
from .proxies import Network, network
from .test_leases import until

Cut = Callable[[Network], None]
_CUTS = pytest.mark.parametrize("cut", [Network.hang, Network.reset], ids=["hangs", "resets"])


@pytest.fixture
def way(server: Postgres) -> Iterator[Network]:
    with network(server.port) as found:
        yield found


@pytest.fixture
def url(server: Postgres, way: Network) -> str:
    return f"{server.url(port=way.port)}?prefix={server.new()}&connect_timeout=2"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "ANSWER", 0.5)
    monkeypatch.setattr(connecting, "_PAUSE", 0.01)


@_CUTS
def test_a_verb_waits_until_the_network_is_mended(way: Network, url: str, cut: Cut) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            await ledger.claim([intent(0), intent(1)])
            known = way.accepted + way.refused
            cut(way)
            verbs = [
                ledger.record([Withdrawn(KEYS[0])]),
                ledger.claim([intent(0)]),
                ledger.claim([intent(2)]),
            ]
            asked = [asyncio.ensure_future(each) for each in verbs]
            await until(lambda: way.accepted + way.refused > known + 1)
            assert not any(each.done() for each in asked)
            way.mend()
            assert [list(each) for each in await asyncio.gather(*asked)] == [[True], [None], [None]]
            # What was sent before the cut and comes only now changes nothing any more.
            for _ in range(3):
                found = await ledger.find(KEYS[:3])
                assert [each and (each.state, each.holder) for each in found] == [("intent", "ours")] * 3

    asyncio.run(tell())


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_run_goes_on_after_a_restart_of_the_server(server: Postgres, url: str, mode: str) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            await ledger.claim([intent(0)])
            restart = asyncio.get_running_loop().run_in_executor(None, server.restart, mode)
            for n in range(1, len(KEYS)):
                assert list(await ledger.claim([intent(n)])) == [None]
            await restart
            found = await ledger.find(KEYS)
            assert [each and each.holder for each in found] == ["ours"] * len(KEYS)

    asyncio.run(tell())


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("before", [0, 1, 20])
def test_a_session_that_is_ended_in_a_transaction_is_replaced(url: str, before: int, waits: bool) -> None:
    calls = 0

    def steps(writer: object, db: Connection) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            for _ in range(before):
                db.execute("SELECT 1")
            ended = db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            if waits:
                ended.fetchone()
        return calls

    async def tell() -> None:
        async with opened(url) as ledger:
            assert await ledger._write(steps) == 2
            assert list(await ledger.claim([intent(0)])) == [None]

    asyncio.run(tell())


def test_a_connection_that_cannot_end_its_transaction_is_replaced(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = connecting._fenced, list[object]()

    def breaks(db: Connection, *rest: object) -> object:
        calls.append(db)
        if len(calls) > 1:
            return whole(db, *rest)  # type: ignore[arg-type]
        db.execute("BEGIN")
        db.pgconn.enter_pipeline_mode()  # as when its server goes before the answers have come
        raise psycopg.OperationalError("by the test")

    async def tell() -> None:
        async with opened(url) as ledger:
            monkeypatch.setattr(connecting, "_fenced", breaks)
            assert list(await ledger.claim([intent(0)])) == [None]
            assert len(set(map(id, calls))) == 2

    asyncio.run(tell())


def test_what_is_large_may_take_longer_than_a_server_may_be_silent(way: Network, url: str) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            await ledger.claim([intent(0)])
            output = f'"{"x" * 4_000_000}"'
            await ledger.record([Ended(KEYS[0], "p0", "finished", "succeeded", output, None, 1.0, None, 9.0)])
            way.pause, known = 0.02, way.accepted
            (found,) = await ledger.find(KEYS[:1])
            assert found is not None
            assert found.output == output
            assert way.accepted == known

    asyncio.run(tell())


@_CUTS
def test_a_server_that_stays_away_is_not_waited_for_for_ever(
    way: Network, url: str, cut: Cut, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledgers, "PATIENCE", 0.2)

    async def tell() -> None:
        async with opened(url) as ledger:
            cut(way)
            with pytest.raises(JournalError, match="See that the server runs"):
                await ledger.claim([intent(0)])
            before = way.accepted + way.refused
            with pytest.raises(JournalError, match="See that the server runs"):
                await ledger.claim([intent(1)])
            assert way.accepted + way.refused <= before + 2  # the lease is renewed by another connection
            way.mend()
            assert list(await ledger.claim([intent(0)])) == [None]

    asyncio.run(tell())
    assert not caplog.records


@pytest.mark.parametrize("cut", [False, True], ids=["the same connection", "a new one"])
def test_a_server_that_is_read_only_for_a_while_is_waited_for(server: Postgres, url: str, cut: bool) -> None:
    name = server.new()
    server.execute(f"CREATE DATABASE {name}")

    async def tell() -> None:
        async with opened(url.replace("/postgres?", f"/{name}?")) as ledger:
            await ledger._on_thread(lambda: _read_only(ledger, on=True))
            server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            if cut:
                server.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                )
            asked = asyncio.ensure_future(ledger.claim([intent(0)]))
            await until(lambda: ledger._database._away is not None)
            assert not asked.done()
            server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            assert list(await asked) == [None]

    asyncio.run(tell())


def _read_only(ledger: PostgresLedger, *, on: bool) -> None:
    ledger._database._connected().execute(f"SET default_transaction_read_only = {on}".encode())


@pytest.mark.parametrize(("patience", "said"), [(0.0, "is a replica"), (60.0, "is a replica")])
def test_a_replica_is_refused_in_words(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, patience: float, said: str
) -> None:
    looks: list[object] = []

    def look(self: object, db: object) -> None:
        looks.append(db)
        if len(looks) > 3:
            database.give_up()
        raise connecting._Replica("The server is a replica.")

    monkeypatch.setattr(Database, "_look", look)
    database = Database(address_of(server.url()))
    database.patience = patience
    with pytest.raises(JournalError, match=said):
        database.transact(lambda db: None)
    assert len(looks) == (4 if patience else 1)


def test_who_closes_a_ledger_does_not_wait_for_the_server(way: Network, url: str) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            way.reset()
            asked = asyncio.ensure_future(ledger.claim([intent(0)]))
            await until(lambda: way.refused > 1)
            await ledger.close()
            with pytest.raises(JournalError, match="See that the server runs"):
                await asked

    asyncio.run(tell())


def test_who_closes_a_ledger_does_not_wait_for_a_server_that_hangs(
    way: Network, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "ANSWER", 600.0)
    monkeypatch.setattr(ledgers, "_CLOSING", 0.1)

    async def tell() -> None:
        async with opened(url) as ledger:
            way.hang()
            asked = asyncio.ensure_future(ledger.claim([intent(0)]))
            await asyncio.sleep(0)  # it is asked for
        assert not asked.done()
        asked.cancel()

    asyncio.run(tell())
    assert all(each.daemon for each in threading.enumerate() if each.name.startswith("replicate-kit"))


def test_a_server_that_was_never_there_is_not_waited_for(way: Network, url: str) -> None:
    async def tell() -> None:
        way.reset()
        with pytest.raises(JournalError, match="the URL is right"):
            async with opened(url):
                pass

    asyncio.run(tell())
    assert way.refused == 1


def test_a_run_whose_lease_runs_out_meanwhile_says_so(way: Network, url: str) -> None:
    async def tell() -> None:
        async with opened(f"{url}&lease=2") as ledger:
            way.reset()
            with pytest.raises(JournalError, match="was not heard of"):
                await ledger.claim([intent(0)])

    asyncio.run(tell())


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_lease_does_not_depend_on_a_clock_that_is_set(
    url: str, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            right = time.time
            monkeypatch.setattr(time, "time", lambda: right() + seconds)
            assert 0 < ledger.lease_until - elapsed() <= ledger.address.lease

    asyncio.run(tell())


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the clock that counts sleep is Linux's")
def test_a_lease_runs_out_while_the_computer_sleeps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell() -> None:
        async with opened(url) as ledger:
            right = time.clock_gettime
            monkeypatch.setattr(time, "clock_gettime", lambda clock: right(clock) + 3600.0)
            assert ledger.lease_until < elapsed()

    asyncio.run(tell())
