"""Waiting for what another thread completes, under each driver."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit._runtime.runtimes import new_future
from replicate_kit.testing.suites import Drive
from tests._runtime.test_drivers_of_others import PATCHED, ROWS, python


def test_a_wait_ends_with_the_future_or_with_its_time(client: Client, drive: Drive) -> None:
    async def main() -> tuple[bool, bool, bool]:
        future, done = new_future(), new_future()
        done.set_result(None)
        late = await client.session.wait(future, 0.01)
        threading.Timer(0.05, future.set_result, [None]).start()
        return late, await client.session.wait(future, 60), await client.session.wait(done, 0)

    assert drive(main()) == (False, True, True)


def test_a_future_that_is_waited_for_often_keeps_nothing_of_it(client: Client, drive: Drive) -> None:
    future = new_future()

    async def main() -> bool:
        for _ in range(50):
            assert not await client.session.wait(future, 0.001)
        threading.Timer(0.02, future.set_result, [None]).start()
        return await client.session.wait(future, 60)

    assert drive(main())
    assert len(future._done_callbacks) <= 1
    assert len(future._waiters) == 0


GREENLETS = f"""{PATCHED}
import gevent, time
thrown, me, expire = [], gevent.getcurrent(), gevent.Timeout._on_expiration
def expired(timeout, greenlet, *rest):
    if greenlet is me:
        thrown.append(timeout)
    expire(timeout, greenlet, *rest)
gevent.Timeout._on_expiration = expired
"""


@pytest.mark.parametrize("seconds", ["0.01", "0"])
def test_no_exception_of_a_timer_ends_a_wait_of_greenlets(seconds: str, tmp_path: Path) -> None:
    code = f"""{GREENLETS}
import threading
from replicate_kit._runtime.runtimes import new_future, runtime
from replicate_kit._runtime.blocking import run
future = new_future()
async def main():
    for _ in range(20):
        assert not await runtime(True).wait(future, {seconds})
    gevent.spawn_later(0.05, future.set_result, None)
    assert await runtime(True).wait(future, None)
    return await runtime(True).wait(future, {seconds})
print(run(main()), thrown, len(future._done_callbacks))
"""
    assert python(code, tmp_path) == "True [] 1\n"


def test_no_exception_of_a_timer_comes_up_in_a_run_of_greenlets(tmp_path: Path) -> None:
    code = f"""{GREENLETS}{ROWS}
@simulator.model("acme/slow")
def slow(n: int) -> int:
    sleep(1)
    return n
print([result.output for result in client.map("acme/slow", rows(0, 2))], thrown)
"""
    assert python(code, tmp_path) == "[0, 1] []\n"
