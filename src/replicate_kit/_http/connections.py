"""The transports of one client: one for each thing that drives it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from replicate_kit import errors
from replicate_kit._runtime.blocking import is_blocking
from replicate_kit._runtime.runtimes import library
from replicate_kit.transport import Request, Transport

__all__ = ["Checking", "Connections"]


class Checking:
    """The innermost transport: has each request looked at by whoever wants that, and hands it to the backend."""

    def __init__(self, backend: Transport) -> None:
        self._backend = backend
        self.aclose = backend.aclose
        """Close the backend's transport."""

    def send(self, request: Request, /, *, stream: bool = False) -> Any:
        """Send it, unless it must not be sent any more. Gives what the backend does, and awaits nothing itself: each
        request comes this way.
        """
        request.check_last()  # not every backend looks by itself
        return self._backend.send(request, stream=stream)


class Connections:
    """The transports of one client: one for blocking callers, and one for each event loop that it is used in.

    A connection pool belongs to its loop: one that outlives it fails with "Event loop is closed".
    """

    def __init__(self, connect: Callable[[bool], Transport]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[object, Transport] = {}
        self._closed = False
        _born.add(self)

    def current(self) -> Transport:
        """The transport of whoever asks, opened when first asked for."""
        key = _driver()
        if (known := self._open.get(key)) is not None and not self._closed:
            return known
        with self._lock:
            if self._closed:
                raise errors.ConfigError(
                    "This client was closed. Make a new Client, or leave its `with` block later."
                )
            if key not in self._open:
                self._drop_those_of_ended_loops()
                self._open[key] = self._connect(is_blocking())
            return self._open[key]

    async def aclose(self) -> None:
        """Close the blocking transport and that of the running loop. Those of other loops close as their
        loops end.
        """
        with self._lock:
            self._closed = True
            ours = [self._open.pop(key) for key in {_driver(), os.getpid()} if key in self._open]
        for transport in ours:
            await transport.aclose()

    def _drop_those_of_ended_loops(self) -> None:
        """Forget the pools of loops that have ended; most of them were closed as their loop ended."""
        for key in [key for key in self._open if _has_ended(key)]:
            del self._open[key]

    def _forked(self) -> None:
        """Start anew in a child process, whose parent may have held the lock while it forked.

        The parent's transports stay where they are: their sockets are the parent's, and their own locks may
        be held as well.
        """
        self._lock = threading.Lock()


_born: weakref.WeakSet[Connections] = weakref.WeakSet()


def _driver() -> object:
    """What a transport belongs to: the process for blocking callers (sockets do not survive a fork), else the
    loop.
    """
    if is_blocking():
        return os.getpid()
    if library() == "trio":
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


def _has_ended(driver: Any) -> bool:
    """Whether an event loop is over; processes are not looked at."""
    if isinstance(driver, int):
        return False
    if hasattr(driver, "is_closed"):
        return bool(driver.is_closed())
    import trio

    try:
        driver.run_sync_soon(bool, idempotent=True)
    except trio.RunFinishedError:
        return True
    return False


def _after_fork() -> None:
    """Free what another thread of the parent may have held."""
    for connections in list(_born):
        connections._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
