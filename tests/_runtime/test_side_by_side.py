"""Operations at the same time, under each driver."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from replicate_kit import Client
from replicate_kit._runtime import side_by_side as module
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import new_future, start_thread
from replicate_kit.testing.suites import Drive
from tests.waiting import interrupt_when


def test_operations_side_by_side_wait_for_each_other(client: Client, drive: Drive) -> None:
    arrived, everybody = [], new_future()

    async def meet() -> None:
        arrived.append(threading.get_ident())
        if len(arrived) == 5:
            everybody.set_result(None)
        assert await client.session.wait(everybody, 60)

    drive(client.session.side_by_side(*[meet] * 5))
    assert len(arrived) == 5


@pytest.mark.parametrize("count", [1, 2])
def test_one_that_fails_cancels_the_others(client: Client, drive: Drive, count: int) -> None:
    left, never = [], new_future()

    async def fail() -> None:
        raise ValueError("no")

    async def wait() -> None:
        try:
            await client.session.wait(never, None)
        finally:
            left.append(True)

    with pytest.raises(ValueError, match="no"):
        drive(client.session.side_by_side(wait, *[fail] * count))
    assert left == [True]


def test_ctrl_c_cancels_what_runs_side_by_side(client: Client, interruptible: None) -> None:
    begun, left, never = [], [], new_future()

    async def wait() -> None:
        begun.append(True)
        try:
            await client.session.wait(never, None)
        finally:
            left.append(True)

    thread = interrupt_when(lambda: len(begun) == 3)
    with pytest.raises(KeyboardInterrupt):
        run(client.session.side_by_side(*[wait] * 3))
    thread.join()
    assert left == [True] * 3


@pytest.mark.parametrize("starts", [True, False])
def test_ctrl_c_may_come_while_the_thread_is_started(
    client: Client, monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    begun, left = threading.Event(), []

    def interrupted(function: Callable[[], object], name: str) -> None:
        if starts:
            start_thread(function, name)
            begun.wait(60)
        raise KeyboardInterrupt

    async def wait() -> None:
        begun.set()
        try:
            await client.session.wait(new_future(), None)
        finally:
            left.append(True)

    monkeypatch.setattr(module, "start_thread", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(client.session.side_by_side(wait))
    assert left == [True] * starts
