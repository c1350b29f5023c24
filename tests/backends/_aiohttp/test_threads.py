"""Blocking code over the backend `fast`: whoever asks is answered, or told why not, and never waits for ever."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from replicate_kit import errors
from replicate_kit._runtime.blocking import run
from replicate_kit.config import Config
from replicate_kit.transport import Request

pytest.importorskip("aiohttp")

from replicate_kit.backends._aiohttp import threads
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._aiohttp.threads import BlockingPool

JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.timeout(40)


@pytest.fixture
def origin(serve: Any) -> Any:
    return serve(lambda _: (200, JSON, b'{"id": "p1", "status": "succeeded"}'))


@pytest.fixture
def pool() -> Iterator[BlockingPool]:
    pool = BlockingPool(Settings.of(Config(), blocking=True))
    yield pool
    run(pool.aclose())


def refuse(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


TROUBLES = {
    "no thread": (
        threads,
        "start_thread",
        RuntimeError("can't start new thread"),
        r"ulimit -u.*backend='http'",
    ),
    "no file": (asyncio, "new_event_loop", OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    "no loop": (asyncio, "new_event_loop", RuntimeError("no such policy"), "no such policy"),
    "no pool": (threads, "Pool", ValueError("no such limit"), "no such limit"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_who_asks_is_told_that_it_cannot_start_and_the_next_may(
    trouble: str, pool: BlockingPool, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, error, said = TROUBLES[trouble]
    request = Request("POST", f"{origin.url}/v1/x", json={})
    with monkeypatch.context() as patched:
        patched.setattr(where, name, refuse(error))
        for _ in range(2):
            with pytest.raises(errors.ConnectFailed, match=said) as caught:
                run(pool.send(request))
            assert caught.value.__cause__ is error
    assert origin.received == []
    assert run(pool.send(request)).status_code == 200


@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_that_could_not_start_can_be_closed(
    trouble: str, pool: BlockingPool, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, error, _ = TROUBLES[trouble]
    monkeypatch.setattr(where, name, refuse(error))
    with pytest.raises(errors.ConnectFailed):
        run(pool.send(Request("GET", f"{origin.url}/v1/x")))
    run(pool.aclose())


def test_closing_waits_a_while_and_no_longer(
    pool: BlockingPool, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, make = threading.Event(), threading.Event(), asyncio.new_event_loop

    def slowly() -> Any:
        begun.set()
        go_on.wait(50)
        return make()

    def ask() -> None:
        try:
            run(pool.send(Request("GET", f"{origin.url}/v1/x")))
        except errors.TransportError as error:
            told.append(error)

    told: list[Exception] = []
    monkeypatch.setattr(threads, "_PATIENCE", 0.1)
    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    asking = threading.Thread(target=ask)
    asking.start()
    begun.wait(50)
    run(pool.aclose())  # while the loop is being made
    assert not go_on.is_set()
    go_on.set()
    asking.join(50)
    assert isinstance(told[0], errors.ConnectFailed | errors.ConnectionLost)


def test_what_ends_the_loop_ends_the_waiting(pool: BlockingPool) -> None:
    async def end(_: Any) -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(60)

    with pytest.raises(errors.ConnectionLost):
        pool._loop.send(end, threads._Asked(Request("GET", "http://127.0.0.1:9/")))
    with pytest.raises(errors.ConnectFailed, match="was closed"):
        run(pool.send(Request("GET", "http://127.0.0.1:9/")))


# Forks.


def in_child(check: Callable[[], bool]) -> bool:
    """Fork, and tell whether the check held in the child, which ends in any case."""
    child = os.fork()
    if child == 0:  # pragma: no cover - nothing collects the child's coverage
        threading.Timer(30, os._exit, (3,)).start()
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("is_locked", [False, True])
def test_a_fork_is_told_that_its_connections_are_the_parents(
    is_locked: bool, pool: BlockingPool, origin: Any
) -> None:
    request = Request("GET", f"{origin.url}/v1/x")
    stream = run(pool.send(request, stream=True))

    def check() -> bool:
        with pytest.raises(errors.ConnectFailed, match="another process"):
            run(pool.send(request))
        with pytest.raises(errors.ConnectionLost, match="another process"):
            run(stream.aread())
        run(stream.aclose())
        run(pool.aclose())
        return True

    if is_locked:
        with pool._loop._lock:
            assert in_child(check)
    else:
        assert in_child(check)
    assert run(stream.aread()) == b'{"id": "p1", "status": "succeeded"}'


# The end of a program.


def test_who_asks_at_the_end_of_a_program_is_told(
    pool: BlockingPool, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request("GET", f"{origin.url}/v1/x")
    stream = run(pool.send(request, stream=True))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "is_finalizing", lambda: True)
        with pytest.raises(errors.ConnectFailed, match="program is over"):
            run(pool.send(request))
        with pytest.raises(errors.ConnectionLost, match="program is over"):
            run(stream.aread())
        run(stream.aclose())
    assert len(origin.received) == 1


HANDLER = """
import atexit, sys
from replicate_kit import Client

client = Client("r8_any", backend="fast", base_url=sys.argv[1], retries=0)
client.predictions.get("p0")
atexit.register(lambda: print(client.predictions.get("p1").id))
"""


def test_an_atexit_handler_may_ask(origin: Any) -> None:
    command = [sys.executable, "-c", HANDLER, origin.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "p1", done.stderr


def test_one_that_is_dropped_ends_its_thread(origin: Any) -> None:
    pool = BlockingPool(Settings.of(Config(), blocking=True))
    run(pool.send(Request("GET", f"{origin.url}/v1/x")))
    ended = pool._loop._ended
    del pool
    gc.collect()
    ended.result(30)
