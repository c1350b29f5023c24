"""Blocks in which a context variable has a value, however they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Generator

import pytest

from replicate_kit._context import Within
from replicate_kit.hiding import quoted, secrets_hidden

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="outside")


def test_the_value_is_that_of_the_block() -> None:
    with Within(VARIABLE, "within"):
        with Within(VARIABLE, "deeper"):
            assert VARIABLE.get() == "deeper"
        assert VARIABLE.get() == "within"
    assert VARIABLE.get() == "outside"


class Pause:
    """Lets whoever drives the coroutine go on."""

    def __await__(self) -> Generator[None]:
        while True:
            yield


async def _within() -> None:
    with Within(VARIABLE, "within"), secrets_hidden(lambda: {"hunter22"}):
        await Pause()


def test_a_block_that_nobody_ends_changes_nothing_in_the_context_that_collects_it() -> None:
    left = _within()
    contextvars.Context().run(left.send, None)
    with Within(VARIABLE, "another"), secrets_hidden(lambda: {"correct horse"}):
        del left
        gc.collect()
        assert VARIABLE.get() == "another"
        assert quoted("correct horse hunter22") == "*** hunter22"
    assert VARIABLE.get() == "outside"
    assert quoted("correct horse hunter22") == "correct horse hunter22"


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
    with pytest.raises(ZeroDivisionError), Within(VARIABLE, "within"):
        raise ZeroDivisionError
    assert VARIABLE.get() == "outside"
