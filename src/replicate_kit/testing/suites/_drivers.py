"""The three ways in which an operation may be driven: blocking, in asyncio and in trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from replicate_kit._runtime.blocking import run

__all__ = ["DRIVERS", "Drive", "DriverSuite", "drive", "need"]

Drive = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs an operation to its end."""


def need(library: str) -> Any:
    """Import the library of an event loop, or skip the test and say so: plugins are written without it, too."""
    return pytest.importorskip(
        library, reason=f"{library} is not installed: pip install {library}, to have this tested under it"
    )


def _in_trio(operation: Coroutine[Any, Any, Any]) -> Any:
    """Run an operation in trio."""

    async def main() -> Any:
        return await operation

    return need("trio").run(main)


def _checked(driver: Drive) -> Drive:
    """Have a driver say what to write instead of what is no operation."""

    def drive(operation: Coroutine[Any, Any, Any], /) -> Any:
        if not isinstance(operation, Coroutine):
            raise TypeError(f"drive runs an operation to its end, and got {_instead(operation)}")
        return driver(operation)

    return drive


def _instead(given: Any) -> str:
    """Say what was given in the place of an operation, and what to write."""
    name = getattr(given, "__name__", type(given).__name__)
    if hasattr(given, "__aiter__"):
        return f"an iterator ({name}). Read it in an `async def` of the test, and drive that."
    if callable(given):
        return f"the function {name}. Call it: drive({name}())."
    return f"{given!r:.80}. Call the async_ form of what gave it: drive(client.async_run(…))."


DRIVERS: dict[str, Drive] = {
    "blocking": _checked(run),
    "asyncio": _checked(asyncio.run),
    "trio": _checked(_in_trio),
}


def _driver(name: str) -> Drive:
    """Give a driver, or skip before an operation is made that nobody could await."""
    if name == "trio":
        need("trio")
    return DRIVERS[name]


@pytest.fixture(params=sorted(DRIVERS))
def drive(request: pytest.FixtureRequest) -> Drive:
    """Runs an operation to its end: each test that asks for this runs blocking, in asyncio and in trio."""
    return _driver(request.param)


class DriverSuite:
    """What all suites have: the fixture `drive`, without importing it."""

    @pytest.fixture(params=sorted(DRIVERS))
    def drive(self, request: pytest.FixtureRequest) -> Drive:
        """Runs an operation to its end under one of the drivers."""
        return _driver(request.param)
