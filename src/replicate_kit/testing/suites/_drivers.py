"""The three ways in which an operation may be driven: blocking, in asyncio and in trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from replicate_kit._runtime.blocking import run

__all__ = ["DRIVERS", "Drive", "DriverSuite", "drive"]

Drive = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs an operation to its end."""


def _in_trio(operation: Coroutine[Any, Any, Any]) -> Any:
    trio = pytest.importorskip("trio")

    async def main() -> Any:
        return await operation

    return trio.run(main)


DRIVERS: dict[str, Drive] = {"blocking": run, "asyncio": asyncio.run, "trio": _in_trio}


@pytest.fixture(params=sorted(DRIVERS))
def drive(request: pytest.FixtureRequest) -> Drive:
    """Runs an operation to its end: each test that asks for this runs blocking, in asyncio and in trio."""
    return DRIVERS[request.param]


class DriverSuite:
    """What all suites have: the fixture `drive`, without importing it."""

    @pytest.fixture(params=sorted(DRIVERS))
    def drive(self, request: pytest.FixtureRequest) -> Drive:
        """Runs an operation to its end under one of the drivers."""
        return DRIVERS[request.param]
