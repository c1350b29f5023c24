"""Connections: one pool for blocking callers and one for each event loop, over real sockets."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import gc
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
import trio

from replicate_kit import Client, errors
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.backends._common import open_files
from replicate_kit.backends._httpx import async_pools, pools
from replicate_kit.backends._httpx.backend import LibraryBackend
from replicate_kit.backends._options import certificates
from replicate_kit.errors import ConnectFailed
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Backend, Request, Timeout, Transport

pytestmark = pytest.mark.usefixtures("each_library")

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
Serve = Callable[..., Any]

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def origin(serve: Serve) -> Any:
    """A server that gives any prediction that it is asked for."""
    return serve(
        lambda request: (
            200,
            JSON,
            b'{"id": "%s", "status": "succeeded"}' % request.path.rpartition("/")[2].encode(),
        )
    )


@pytest.fixture
def real(origin: Any) -> Iterator[Client]:
    """A client of that server."""
    with Client(base_url=origin.url, poll_interval=0.01) as client:
        yield client


def open_pools(client: Client) -> int:
    return len(client.session._connections._open)


def test_each_driver_reaches_a_real_server(real: Client, origin: Any, drive: Drive) -> None:
    assert drive(real.predictions.async_get("p1")).id == "p1"
    (received,) = origin.received
    assert received.path == "/v1/predictions/p1"
    assert received.headers["user-agent"].startswith("replicate-kit/")


def test_one_client_serves_one_loop_after_another(real: Client, each_library: str) -> None:
    """Run several loops: nothing is left open as each ends, and the next does not meet the pool of the last."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            assert asyncio.run(real.predictions.async_get("p1")).id == "p1"
            if each_library != "fast":
                assert trio.run(real.predictions.async_get, "p1").id == "p1"
            assert real.predictions.get("p1").id == "p1"
            gc.collect()
    assert [warning for warning in caught if issubclass(warning.category, ResourceWarning)] == []
    assert open_pools(real) <= 3


@pytest.mark.usefixtures("httpx_alone")
def test_connections_are_kept_within_a_loop(serve: Serve) -> None:
    peers: set[Any] = set()

    def note(response: httpx.Response) -> None:
        peers.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    origin = serve(lambda _: (200, {}, b"{}"))

    async def main() -> None:
        async with Client(base_url=origin.url, event_hooks={"response": [note]}) as client:
            for _ in range(3):
                await client.async_request("GET", "predictions/p1")

    asyncio.run(main())
    assert len(peers) == 1


def test_threads_share_one_pool(real: Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: real.predictions.get(f"p{number}").id, range(40)))
    assert found == [f"p{number}" for number in range(40)]
    assert open_pools(real) == 1


def test_loops_on_threads_have_a_pool_each(real: Client) -> None:
    barrier = threading.Barrier(3)

    def in_a_loop(number: int) -> str:
        async def main() -> str:
            await anyio.to_thread.run_sync(barrier.wait)
            return str((await real.predictions.async_get(f"p{number}")).id)

        return asyncio.run(main())

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(in_a_loop, range(3))) == ["p0", "p1", "p2"]


def test_many_tasks_run_at_once(real: Client, each_library: str) -> None:
    async def main() -> list[str]:
        found: list[str] = []

        async def one(number: int) -> None:
            found.append((await real.predictions.async_get(f"p{number}")).id)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)
        return found

    for library in ("asyncio", "trio")[: 1 if each_library == "fast" else 2]:
        assert len(anyio.run(main, backend=library)) == 40


def test_a_blocking_call_works_inside_a_loop(real: Client) -> None:
    async def cell() -> list[str]:
        return [real.predictions.get("p1").id, (await real.predictions.async_get("p2")).id]

    assert asyncio.run(cell()) == ["p1", "p2"]


# Closing.


def test_a_closed_client_says_so(real: Client, drive: Drive) -> None:
    real.predictions.get("p1")
    drive(real.aclose())
    with pytest.raises(errors.ConfigError, match="This client was closed"):
        drive(real.predictions.async_get("p1"))


def test_a_client_closes_what_it_opened_with_the_block(origin: Any, each_library: str) -> None:
    with Client(base_url=origin.url) as client:
        client.predictions.get("p1")
    assert open_pools(client) == 0

    async def main() -> None:
        async with Client(base_url=origin.url) as client:
            await client.predictions.async_get("p1")
            client.predictions.get("p1")
        assert open_pools(client) == 0

    for library in ("asyncio", "trio")[: 1 if each_library == "fast" else 2]:
        anyio.run(main, backend=library)


def test_a_client_that_is_dropped_leaves_nothing_open(origin: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Client(base_url=origin.url).predictions.get("p1")
        gc.collect()
    assert caught == []


def connections(client: Client) -> async_pools.LentConnections:
    """Connections with a client's options, for the loop that runs."""
    found = opened(client, blocking=False)
    assert isinstance(found, async_pools.LentConnections)
    return found


def counted(pool: async_pools.LentConnections) -> tuple[int, int]:
    """How many connections have a request, and how many have none."""
    free = len(pool._lender._unused_ones)
    return len(pool._lender.open) - free, free


def opened(client: Client, *, blocking: bool) -> Any:
    """Connections with a client's options."""
    backend = client.session.backend
    assert isinstance(backend, LibraryBackend)
    return pools.connect(client.session.config, backend.library, blocking=blocking)


@pytest.mark.usefixtures("httpx_alone")
def test_many_requests_at_once_have_a_connection_each(real: Client, origin: Any) -> None:
    async def main() -> None:
        pool = connections(real)
        requests = [Request("GET", f"{origin.url}/v1/predictions/p{n}") for n in range(150)]
        responses = await asyncio.gather(*(pool.send(each) for each in requests))
        assert [each.json()["id"] for each in responses] == [f"p{n}" for n in range(150)]
        assert counted(pool) == (0, 150)
        await pool.aclose()
        assert counted(pool) == (0, 0)

    asyncio.run(main())


# As most clients are, and with a hook, for which the client of the library is needed.
WAYS = pytest.mark.parametrize("options", [{}, {"event_hooks": {"request": [str]}}], ids=["plain", "hook"])


@pytest.mark.usefixtures("httpx_alone")
@WAYS
def test_few_requests_share_a_connection_and_streams_hold_theirs(origin: Any, options: Any) -> None:
    async def main() -> None:
        client = Client(base_url=origin.url, **options)
        pool, request = connections(client), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        for _ in range(20):
            await pool.send(request())
        assert counted(pool) == (0, 1)
        responses = [await pool.send(request(), stream=True) for _ in range(9)]
        assert counted(pool) == (9, 0)
        for response in responses:
            await response.aread()
            await response.aclose()  # once more, which changes nothing
        assert counted(pool) == (0, 9)
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.usefixtures("httpx_alone")
@WAYS
def test_a_connection_whose_answer_was_not_read_to_its_end_is_not_lent_again(
    origin: Any, options: Any
) -> None:
    async def main() -> None:
        client = Client(base_url=origin.url, **options)
        pool, request = connections(client), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        response = await pool.send(request(), stream=True)
        (lent,) = pool._lender.open
        await response.aclose()
        assert counted(pool) == (0, 0)
        await pool.send(request())
        assert lent not in pool._lender.open
        assert lent.transport._pool.connections == []
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.usefixtures("httpx_alone")
def test_connections_that_nobody_uses_any_more_are_closed(real: Client, origin: Any) -> None:
    async def main() -> None:
        pool, request = connections(real), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        await asyncio.gather(*(pool.send(request()) for _ in range(40)))
        transports = [each.transport for each in pool._lender.open]
        for _ in range(6):
            await pool.send(request())
        assert counted(pool) == (0, 40)
        pool._lender._unused = -1.0
        for _ in range(6):
            await pool.send(request())
        assert counted(pool) == (0, 1)
        assert sorted(len(each._pool.connections) for each in transports) == [0] * 39 + [1]
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.usefixtures("httpx_alone")
@WAYS
@pytest.mark.parametrize("library_of_the_loop", ["asyncio", "trio"])
def test_requests_that_were_cancelled_leave_no_connection_taken(
    origin: Any, library_of_the_loop: str, options: Any
) -> None:
    async def main() -> None:
        pool = connections(Client(base_url=origin.url, **options))

        async def ask(timeout: Timeout) -> None:
            await pool.send(Request("GET", f"{origin.url}/v1/predictions/p", timeout=timeout))

        for each in range(20):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(ask, Timeout(20.0, 20.0, 20.0, 20.0))
                await anyio.sleep(0.002 * each)
                group.cancel_scope.cancel()
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(ask, Timeout(20.0, 20.0, 20.0, pool=10.0))
        assert counted(pool)[0] == 0
        await pool.aclose()

    anyio.run(main, backend=library_of_the_loop)


@pytest.mark.usefixtures("httpx_alone")
def test_connections_are_closed_to_the_end_whoever_is_cancelled_meanwhile(real: Client, origin: Any) -> None:
    async def main() -> None:
        for rounds in range(1, 6):
            pool, request = connections(real), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
            await asyncio.gather(*(pool.send(request()) for _ in range(16)))
            opened = [each for one in pool._lender.open for each in one.transport._pool.connections]
            assert len(opened) == 16
            pool._lender._unused = -1.0
            task = asyncio.create_task(pool.send(request()))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await pool.send(request())
            await pool.aclose()
            assert [each.is_closed() for each in opened] == [True] * 16

    asyncio.run(main())


@pytest.mark.usefixtures("httpx_alone")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("rounds", [0, 30])
@pytest.mark.parametrize("streams", [0, 1, 3, 8, 20])
@pytest.mark.parametrize("files", [12, 32])
def test_few_files_and_requests_that_were_cancelled_leave_connections_for_others(
    real: Client, origin: Any, monkeypatch: pytest.MonkeyPatch, files: int, streams: int, rounds: int
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, 4096))
    asyncio.run(cancel_many(connections(real), origin, rounds=rounds, streams=min(streams, files // 2)))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_limits_of_the_caller_and_requests_that_were_cancelled_leave_connections_for_others(
    origin: Any, library: Any, most: int, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shared:  # as with HTTP/2
        monkeypatch.setattr(async_pools, "_SHARED", frozenset({"limits"}))
    client = Client(base_url=origin.url, limits=library.Limits(max_connections=most))
    pool = opened(client, blocking=False)
    assert isinstance(pool, async_pools.WholePools if shared else async_pools.LentConnections)
    asyncio.run(cancel_many(pool, origin, rounds=30, streams=most // 2))


async def cancel_many(pool: async_pools.AsyncPool, origin: Any, rounds: int, streams: int) -> None:
    """Cancel requests at many points while streams hold connections; then others must be answered, each of them."""
    request = partial(Request, "GET", f"{origin.url}/v1/predictions/p", timeout=Timeout(5, 5, 5, 5))
    held = [await pool.send(request(), stream=True) for _ in range(streams)]
    for each in range(rounds):
        task = asyncio.create_task(pool.send(request()))
        await asyncio.sleep(0.0003 * (each % 10))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.gather(*(pool.send(request()) for _ in range(20)))
    for response in held:
        await response.aclose()
    if isinstance(pool, async_pools.LentConnections):
        assert counted(pool)[0] == 0
    else:
        assert isinstance(pool, async_pools.WholePools)
        assert {each.busy for each in (*pool._pools.values(), *pool._put_aside)} == {0}
    await pool.aclose()


@pytest.mark.usefixtures("httpx_alone")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_few_files_are_few_connections(
    real: Client, origin: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (32, 4096))
    open_files.tell_of_files.cache_clear()

    async def main() -> None:
        pool, request = connections(real), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        responses = await asyncio.gather(*(pool.send(request()) for _ in range(100)))
        assert {each.status_code for each in responses} == {200}
        assert counted(pool) == (0, 24)
        await pool.aclose()

    asyncio.run(main())
    (said,) = [each.getMessage() for each in caplog.records]
    assert "one of 24 connections" in said
    assert "ulimit -n" in said


# Waiting for a connection.


@WAYS
def test_who_finds_no_connection_in_time_has_sent_nothing(origin: Any, library: Any, options: Any) -> None:
    async def main() -> None:
        client = Client(base_url=origin.url, limits=library.Limits(max_connections=1), **options)
        pool, url = connections(client), f"{origin.url}/v1/predictions/p"
        held = await pool.send(Request("GET", url), stream=True)
        with pytest.raises(ConnectFailed, match="no connection was free in time"):
            await pool.send(Request("GET", f"{url}2", timeout=Timeout(5, 5, 5, pool=0.01)))
        await held.aread()
        await pool.send(Request("GET", f"{url}3", timeout=Timeout(5, 5, 5, 5)))
        assert counted(pool) == (0, 1)
        await pool.aclose()

    asyncio.run(main())
    assert [each.path[-2:] for each in origin.received] == ["/p", "p3"]


@WAYS
@pytest.mark.parametrize(("deadline", "served"), [(None, 4), (0.9, 2)])
def test_one_waits_as_long_as_others_are_served_until_its_deadline(
    origin: Any, library: Any, options: Any, deadline: float | None, served: int
) -> None:
    async def main() -> list[Any]:
        client = Client(base_url=origin.url, limits=library.Limits(max_connections=1), **options)
        pool, began = connections(client), client.session.now()

        async def ask(number: int) -> None:
            request = Request("GET", f"{origin.url}/v1/p{number}", timeout=Timeout(9, 9, 9, pool=1.2))
            request.deadline = None if deadline is None else began + deadline
            response = await pool.send(request, stream=True)
            await asyncio.sleep(0.6)
            await response.aread()

        ended = await asyncio.gather(*(ask(each) for each in range(4)), return_exceptions=True)
        await pool.aclose()
        return ended

    ended = asyncio.run(main())
    assert [type(each) for each in ended] == [type(None)] * served + [ConnectFailed] * (4 - served)
    assert len(origin.received) == served


@WAYS
@pytest.mark.parametrize("library_of_the_loop", ["asyncio", "trio"])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 8])
def test_who_waits_for_a_connection_of_a_client_that_is_closed_is_told_so_at_once(
    origin: Any, library: Any, options: Any, library_of_the_loop: str, rounds: int
) -> None:
    ended = list[errors.TransportError]()

    async def main() -> None:
        client = Client(base_url=origin.url, limits=library.Limits(max_connections=1), **options)
        pool = connections(client)
        held = await pool.send(Request("GET", f"{origin.url}/v1/p"), stream=True)

        async def ask() -> None:
            try:
                await pool.send(Request("GET", f"{origin.url}/v1/p", timeout=Timeout(60, 60, 60, 60)))
            except errors.TransportError as error:
                ended.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
            await anyio.sleep(0.05)
            if rounds:
                await held.aread()  # the first of them has been given the connection, and may not know of it
                for _ in range(rounds):
                    await anyio.lowlevel.checkpoint()
            with anyio.fail_after(20):
                await pool.aclose()
        with pytest.raises(ConnectFailed, match="was closed"):
            await pool.send(Request("GET", f"{origin.url}/v1/p"))
        await held.aclose()

    anyio.run(main, backend=library_of_the_loop)
    told = [each for each in ended if isinstance(each, ConnectFailed)]
    assert len(told) == 3 if rounds == 0 else told  # the others were on their way, or even answered
    assert all("the client was closed meanwhile" in str(each) for each in told)
    assert not any(each.temporary for each in told)


@pytest.mark.usefixtures("httpx_alone")
def test_how_closing_another_connection_fails_is_nothing_to_a_request(
    real: Client, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool, request = connections(real), partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        await asyncio.gather(*(pool.send(request()) for _ in range(3)))

        async def fail() -> None:
            raise RuntimeError("the handler is closed")

        opened = [one.transport for one in pool._lender.open]
        for each in opened:
            monkeypatch.setattr(each, "aclose", fail)
        pool._lender._unused = -1.0
        assert (await pool.send(request())).status_code == 200
        await pool.aclose()
        monkeypatch.undo()
        for each in opened:
            await each.aclose()

    asyncio.run(main())


def test_those_that_wait_are_served_in_order_whoever_else_is_cancelled(origin: Any, library: Any) -> None:
    async def main() -> None:
        client = Client(base_url=origin.url, limits=library.Limits(max_connections=1))
        pool, url = connections(client), f"{origin.url}/v1/predictions/p"
        held = await pool.send(Request("GET", url), stream=True)
        waiting = []
        for each in range(4):
            request = Request("GET", f"{url}{each}", timeout=Timeout(5, 5, 5, 5))
            waiting.append(asyncio.create_task(pool.send(request)))
            await asyncio.sleep(0)
        waiting[1].cancel()  # as it waits
        await held.aread()
        waiting[0].cancel()  # as it has been given the connection, and does not know of it
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in ended] == [True, True, False, False]
        assert counted(pool) == (0, 1)
        await pool.aclose()

    asyncio.run(main())
    assert [each.path[-2:] for each in origin.received] == ["/p", "p2", "p3"]


def test_a_connection_of_one_kind_makes_room_for_one_of_another(origin: Any, library: Any) -> None:
    async def main() -> None:
        client = Client(base_url=origin.url, limits=library.Limits(max_connections=1))
        pool, request = connections(client), Request("GET", f"{origin.url}/v1/predictions/p")
        await pool.send(request)
        (unused,) = pool._lender.open
        guarded = Request("GET", f"{origin.url}/v1/predictions/p")
        guarded.guarded = True
        with pytest.raises(errors.FileError, match="private"):
            await pool.send(guarded)
        assert unused not in pool._lender.open
        assert unused.transport._pool.connections == []
        await pool.send(request)
        await pool.aclose()

    asyncio.run(main())


def test_an_error_says_that_no_more_files_may_be_opened(library: Any) -> None:
    def refuse(request: Any) -> Any:
        raise library.ConnectError("All connection attempts failed") from OSError(
            errno.EMFILE, "Too many open files"
        )

    client = Client("r8_any", transport=library.MockTransport(refuse), retries=0)
    with pytest.raises(ConnectFailed, match=r"Too many open files.*ulimit -n"):
        client.request("GET", "account")


@pytest.mark.parametrize(
    ("limits", "left"),
    [({"max_connections": 3}, 3), ({"max_connections": 9, "max_keepalive_connections": 2}, 2), ({}, 30)],
)
def test_limits_of_the_caller_speak_of_all_connections(
    origin: Any, library: Any, limits: dict[str, int], left: int
) -> None:
    async def main() -> None:
        pool = connections(Client(base_url=origin.url, limits=library.Limits(**limits)))
        request = partial(Request, "GET", f"{origin.url}/v1/predictions/p")
        await asyncio.gather(*(pool.send(request()) for _ in range(30)))
        assert counted(pool) == (0, left)
        await pool.aclose()

    asyncio.run(main())


def test_the_pool_of_a_loop_that_was_only_closed_is_forgotten(real: Client, each_library: str) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(real.predictions.async_get("p1"))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    if each_library != "fast":
        trio.run(real.predictions.async_get, "p1")
    asyncio.run(real.predictions.async_get("p1"))
    assert open_pools(real) == 1  # the last one; it is forgotten when the next one is opened


def test_an_async_form_without_a_loop_says_so(real: Client) -> None:
    operation = real.predictions.async_get("p1")
    with pytest.raises(RuntimeError, match="without an event loop"):
        operation.send(None)


# Forks.

FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def in_child(check: Callable[[], bool]) -> bool:
    """Fork, and tell whether the check held in the child."""
    child = os.fork()
    if child == 0:  # pragma: no cover - nothing collects the child's coverage
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@FORKS
def test_a_client_survives_a_fork(real: Client, origin: Any) -> None:
    real.predictions.get("p1")
    assert in_child(lambda: real.predictions.get("p2").id == "p2")
    assert in_child(lambda: bool(asyncio.run(real.predictions.async_get("p3")).id == "p3"))
    assert real.predictions.get("p4").id == "p4"
    assert [received.path[-2:] for received in origin.received] == ["p1", "p2", "p3", "p4"]


@FORKS
def test_a_child_that_closes_its_client_leaves_the_parents_connections_alone(real: Client) -> None:
    real.predictions.get("p1")
    (pool,) = real.session._connections._open.values()

    def close_all() -> bool:
        run(pool.aclose())
        real.close()
        return True

    assert in_child(close_all)
    assert real.predictions.get("p2").id == "p2"


@FORKS
def test_locks_that_were_held_during_a_fork_do_not_hang_the_child(real: Client) -> None:
    with real.session._connections._lock, certificates._lock:
        assert in_child(lambda: real.predictions.get("p1").id == "p1")


# What the transport is made of.


def test_errors_of_httpx_leave_as_ours_with_the_request(connect: Connect, drive: Drive) -> None:
    client, _ = connect(httpx.ReadError("reset"), retries=0)
    with pytest.raises(
        errors.ConnectionLost, match=r"GET https://api.test/v1/predictions/p1: the connection broke"
    ) as caught:
        drive(client.predictions.async_get("p1"))
    assert caught.value.request is not None
    assert isinstance(caught.value.__cause__, httpx.ReadError)


@pytest.mark.parametrize(
    ("trouble", "kind", "text"),
    [
        (httpx.ConnectError("refused"), errors.ConnectFailed, "could not connect"),
        (httpx.ConnectTimeout(""), errors.ConnectFailed, "ConnectTimeout"),
        (httpx.ProxyError("407"), errors.ConnectFailed, "proxy"),
        (httpx.PoolTimeout("busy"), errors.ConnectFailed, "could not connect"),
        (httpx.ReadTimeout("slow"), errors.RequestTimeout, r"Raise Client\(timeout="),
        (httpx.DecodingError("gzip"), errors.InvalidResponse, "cannot be decoded"),
        (httpx.RemoteProtocolError("garbage"), errors.ConnectionLost, "garbage"),
        (httpx.LocalProtocolError("header"), errors.TransportError, "cannot be sent"),
    ],
    ids=repr,
)
def test_each_failure_has_its_error(
    connect: Connect, trouble: Exception, kind: type[Exception], text: str
) -> None:
    client, _ = connect(trouble, retries=0)
    with pytest.raises(kind, match=text):
        client.predictions.get("p1")


def test_nobody_listens_there(drive: Drive) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}", retries=0)
        with (
            client,
            pytest.raises(errors.ConnectFailed, match=r"nothing listens at 127\.0\.0\.1:.* Check base_url"),
        ):
            drive(client.predictions.async_get("p1"))


def test_a_body_that_breaks_off_is_a_lost_connection(
    serve: Serve, cut: type[Exception], drive: Drive
) -> None:
    def body() -> Iterator[bytes]:
        yield b"some"
        raise cut

    origin = serve(lambda request: (200, {}, body()))

    async def read() -> bytes:
        response = await client.session.open(origin.url)
        try:
            return b"".join([chunk async for chunk in response.aiter_bytes()])
        finally:
            await response.aclose()

    with Client(base_url="http://unused.test") as client, pytest.raises(errors.ConnectionLost):
        drive(read())


def test_hooks_of_either_kind_run_under_each_driver(connect: Connect, drive: Drive, prediction: Any) -> None:
    seen: list[str] = []

    async def on_response(response: httpx.Response) -> None:
        seen.append(str(response.status_code))

    hooks = {"request": [lambda request: seen.append(request.method)], "response": [on_response]}
    client, _ = connect(prediction(), event_hooks=hooks)
    drive(client.predictions.async_get("p1"))
    assert seen == ["GET", "200"]


def test_basic_auth_acts_on_the_api_only(connect: Connect, drive: Drive, prediction: Any) -> None:
    client, requests = connect(prediction(), auth=("me", "secret"), api_token=None)
    drive(client.predictions.async_get("p1"))

    async def elsewhere() -> None:
        await (await client.session.open("https://elsewhere.test/file")).aclose()

    drive(elsewhere())
    assert requests[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in requests[1].headers


def test_a_replicate_client_with_auth_needs_no_token(connect: Connect, prediction: Any) -> None:
    client, _ = connect(prediction(), auth=("me", "secret"), api_token=None, base_url=None)
    assert client.predictions.get("p1").id == "p1"


def test_pools_share_one_tls_context_unless_options_need_their_own(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    made: list[object] = []
    monkeypatch.setattr(certificates, "_shared", {})
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    make = library.create_ssl_context
    monkeypatch.setattr(library, "create_ssl_context", lambda **given: made.append(given) or make(**given))
    for options in ({}, {}, {"http1": True}, {"limits": library.Limits()}):
        opened(Client(**options), blocking=True)
    assert len(made) == 1
    opened(Client(verify=False), blocking=True)
    assert len(made) > 1


# Runtimes.


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def in_runtime(request: pytest.FixtureRequest) -> Callable[[Callable[[Any], Any]], Any]:
    """Runs an operation over a runtime under one of the drivers."""
    if request.param == "blocking":
        return lambda operation: run(operation(runtime(True)))
    return lambda operation: anyio.run(operation, runtime(False), backend=request.param)


def test_a_runtime_sleeps_and_tells_the_time(in_runtime: Any) -> None:
    async def nap(runtime: Any) -> float:
        began = runtime.now()
        await runtime.sleep(0.01)
        return float(runtime.now() - began)

    assert in_runtime(nap) >= 0.01


def test_a_runtime_calls_what_blocks(in_runtime: Any) -> None:
    async def call(runtime: Any) -> Any:
        return await runtime.in_thread(lambda: 42)

    assert in_runtime(call) == 42


def test_a_runtime_waits_for_a_future_of_any_thread(in_runtime: Any) -> None:
    async def wait(runtime: Any) -> list[bool]:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        first = await runtime.wait(future, 0.01)
        threading.Timer(0.01, future.set_result, [None]).start()
        return [first, await runtime.wait(future, None), await runtime.wait(future, 0)]

    assert in_runtime(wait) == [False, True, True]


def test_a_future_that_is_done_after_its_loop_wakes_nobody() -> None:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    for library in ("asyncio", "trio"):
        assert not anyio.run(runtime(False).wait, future, 0.0, backend=library)
    future.set_result(None)


def test_a_shielded_operation_gives_its_result(in_runtime: Any) -> None:
    async def shielded(runtime: Any) -> Any:
        async def answer() -> int:
            await runtime.sleep(0)
            return 42

        return await runtime.shield(answer())

    assert in_runtime(shielded) == 42


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_shielded_operation_ends_however_often_it_is_cancelled(library: str) -> None:
    ended: list[bool] = []

    async def careful() -> None:
        await anyio.sleep(0.03)
        ended.append(True)

    async def main() -> None:
        with anyio.move_on_after(0.01):
            await runtime(False).shield(careful())

    anyio.run(main, backend=library)
    assert ended == [True]


def test_a_task_of_asyncio_that_is_cancelled_twice_still_ends_its_shielded_operation() -> None:
    ended: list[bool] = []

    async def careful() -> None:
        await asyncio.sleep(0.03)
        ended.append(True)

    async def main() -> None:
        task = asyncio.create_task(runtime(False).shield(careful()))
        for _ in range(2):
            await asyncio.sleep(0.005)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == [True]


def test_an_error_of_a_shielded_operation_is_the_cause_of_the_cancellation() -> None:
    async def breaks() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("broken")

    async def main() -> BaseException | None:
        task = asyncio.create_task(runtime(False).shield(breaks()))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error.__cause__
        return None

    assert isinstance(asyncio.run(main()), ValueError)
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(runtime(False).shield(breaks()))


def test_protocols_can_be_told_at_run_time(client: Client) -> None:
    assert isinstance(client.session.backend, Backend)
    assert isinstance(client.session._connect(True), Transport)
    assert time.monotonic() <= runtime(True).now()
