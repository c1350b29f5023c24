"""Steps on a thread beside an operation."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit._runtime import beside
from replicate_kit._runtime.beside import Beside
from replicate_kit._runtime.blocking import run


async def thread_of_a_step(driver: Any, *, brief: bool = False) -> str:
    """The name of the thread on which a step is done."""
    work, names = Beside(driver, brief=brief), list[str]()
    try:
        await work.begin(lambda: names.append(threading.current_thread().name))
        await work.end()
    finally:
        if work.is_used:
            await work.aclose()
    return names[0]


def test_a_step_of_blocking_code_is_done_at_once_where_ctrl_c_ends_it(client: Client) -> None:
    assert run(thread_of_a_step(client.session)) == threading.current_thread().name
    assert asyncio.run(thread_of_a_step(client.session)) == "replicate-kit beside"


def test_a_brief_step_of_blocking_code_has_a_thread_unless_threads_are_greenlets(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(thread_of_a_step(client.session, brief=True)) == "replicate-kit beside"
    monkeypatch.setattr(beside, "is_preemptive", lambda _: False)
    assert run(thread_of_a_step(client.session, brief=True)) == threading.current_thread().name


def test_a_ctrl_c_while_a_step_begins_leaves_nobody_waiting(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    ended = list[bool]()

    def begin() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(thread_of_a_step(client.session, brief=True))
        ended.append(True)

    monkeypatch.setattr(contextvars, "copy_context", interrupted)
    asked = threading.Thread(target=begin, daemon=True)
    asked.start()
    asked.join(20)
    assert ended == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("held", ["the threads", "the lock"])
def test_a_forked_process_has_threads_of_its_own(client: Client, held: str) -> None:
    free: Any = beside._free
    taken = 0
    if held == "the threads":
        while free.acquire(blocking=False):
            taken += 1  # others may still have some
    else:
        free._cond.acquire()  # as another thread may at that moment
    try:
        child = os.fork()
        if child == 0:  # pragma: no cover - nothing collects the child's coverage
            os._exit(0 if _begins_a_thread(client) else 1)
    finally:
        if held == "the threads":
            free.release(taken)
        else:
            free._cond.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _begins_a_thread(client: Client) -> bool:
    """Whether a step has a thread, in a process that is not to hang."""
    names = list[str]()
    asked = threading.Thread(
        target=lambda: names.append(asyncio.run(thread_of_a_step(client.session))), daemon=True
    )
    asked.start()
    asked.join(60)
    return names == ["replicate-kit beside"]
