"""Gives up a connection of which nothing is heard for too long."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Watch"]

_GLANCE = 1.0  # seconds between two looks, at the most


class Watch:
    """Cuts what it watches after some seconds of silence, whoever waits for an answer gets an error then.

    TCP alone notices a server that is gone, but not one that hangs, nor what is lost behind a proxy. One thread that
    looks now and then costs a transaction nothing, where a timer for each would cost as much as the transaction.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._seconds, self._until = seconds, math.inf
        # A descriptor of our own: the other may be closed, and that of another socket, when we come to cut it.
        self._socket = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="replicate-kit-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Cut the connection if it is silent for too long while something is done here."""
        self._until = time.monotonic() + self._seconds
        try:
            yield
        finally:
            self._until = math.inf

    def heard(self) -> None:
        """Take note that the server has taken or sent something: what is large may take its time."""
        if self._until < math.inf:
            self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _look(self) -> None:
        while not self._ended.wait(min(_GLANCE, self._seconds / 4)):
            if time.monotonic() > self._until:
                with suppress(OSError):  # it was closed meanwhile
                    self._socket.shutdown(socket.SHUT_RDWR)
