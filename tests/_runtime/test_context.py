"""Blocks in which a context variable has a value, however they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
from collections.abc import Generator

import pytest

from replicate_kit._http.hiding import quoted, secrets_hidden
from replicate_kit._runtime.blocking import is_blocking, run
from replicate_kit._runtime.context import ScopedVariable

VARIABLE = ScopedVariable("VARIABLE", default="outside")


def test_the_value_is_that_of_the_block() -> None:
    with VARIABLE.within("within"):
        with VARIABLE.within("deeper"):
            assert VARIABLE.get() == "deeper"
        assert VARIABLE.get() == "within"
    assert VARIABLE.get() == "outside"


class Pause:
    """Lets whoever drives the coroutine go on."""

    def __await__(self) -> Generator[None]:
        while True:
            yield


async def _within() -> None:
    with VARIABLE.within("within"), secrets_hidden(lambda: {"hunter22"}):
        await Pause()


def test_a_block_that_nobody_ends_changes_nothing_in_the_context_that_collects_it() -> None:
    left = _within()
    contextvars.Context().run(left.send, None)
    with VARIABLE.within("another"), secrets_hidden(lambda: {"correct horse"}):
        del left
        gc.collect()
        assert VARIABLE.get() == "another"
        assert quoted("correct horse hunter22") == "*** hunter22"
    assert VARIABLE.get() == "outside"
    assert quoted("correct horse hunter22") == "correct horse hunter22"


def test_blocks_that_the_collector_enters_have_their_values_and_leave_none() -> None:
    seen = []

    async def asked() -> bool:
        return is_blocking()

    class Left:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with VARIABLE.within("collected"):
                with VARIABLE.within("deeper"):
                    seen.append(VARIABLE.get())
                seen.append(VARIABLE.get())
            seen.extend([VARIABLE.get(), run(asked()), is_blocking()])

    Left()
    with VARIABLE.within("within"):
        gc.collect()
        assert seen == ["deeper", "collected", "within", True, False]
        assert VARIABLE.get() == "within"


LEFT = {
    "a blocking iterator": """
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            with secrets_hidden(lambda: {"x"}):
                pass
    held = iterate(numbers())
    next(held)
""",
    "a coroutine in a block": """
    async def work():
        with secrets_hidden(lambda: {"x"}):
            await Pause()
    held = work()
    held.send(None)
""",
    "a request on the wire": """
    request = Request("GET", "http://localhost")
    held = blockingly(request, httpx.Request("GET", "http://localhost"))
    held.__enter__()
""",
    "lines of a log": """
    def lines():
        with logged_without_secrets():
            yield
    held = lines()
    next(held)
""",
    "a stream": """
    held = client.stream("demo/poet", {"prompt": "sea"})
    next(held)
""",
    "a batch": """
    held = client.map("demo/poet", [{"prompt": "sea"}], progress=False)
    next(iter(held))
""",
}
SETTERS = {
    "a variable of another library": "token = OTHER.set(value); OTHER.reset(token)",
    "a call of ours": "run(nothing())",
}
SCRIPT = """
import gc
from contextvars import ContextVar

import httpx

from replicate_kit import Client
from replicate_kit._runtime.blocking import is_blocking, iterate, run
from replicate_kit.backends._httpx.connecting import blockingly
from replicate_kit.backends._httpx.logs import logged_without_secrets
from replicate_kit._http.hiding import secrets_hidden
from replicate_kit.transport import Request

OTHER = ContextVar("OTHER")
client = Client(backend="mock")


class Pause:
    def __await__(self):
        yield


async def nothing():
    pass


class Cycle:
    pass


def leave():{leave}
    cycle = Cycle()
    cycle.itself, cycle.held = cycle, held


for times in range({times}):
    for count in range(1, 12):  # the collector runs at the first, second, … thing that the next lines make
        gc.disable()
        leave()
        value = object()
        gc.set_threshold(gc.get_count()[0] + count)
        gc.enable()
        {set}
gc.collect()
assert not is_blocking()
print("still here")
"""


@pytest.mark.slow
@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("left", LEFT)
def test_what_is_left_in_a_cycle_is_collected_without_harm_in_the_middle_of_anything(
    left: str, setter: str
) -> None:
    times = 10 if left in ("a stream", "a batch") else 200
    script = SCRIPT.format(leave=LEFT[left], set=SETTERS[setter], times=times)
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "still here\n", "")


def test_tasks_that_are_canceled_leave_nothing_behind() -> None:
    async def both() -> None:
        tasks = [asyncio.create_task(_within()) for _ in range(10)]
        await asyncio.sleep(0)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert VARIABLE.get() == "outside"

    asyncio.run(both())


def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), VARIABLE.within("within"):
        raise ZeroDivisionError
    assert VARIABLE.get() == "outside"
