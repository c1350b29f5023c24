"""Servers that stand in for Cog's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from .standin import StandIn


@pytest.fixture
def start() -> Iterator[Callable[..., StandIn]]:
    """Start a server that ends with the test; by default it is of the newer dialect and has one slot."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(StandIn(**options))


@pytest.fixture
def server(start: Callable[..., StandIn]) -> StandIn:
    return start()
