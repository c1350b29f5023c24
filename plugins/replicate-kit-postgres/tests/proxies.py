"""A network that can be cut: a proxy before a server that hangs, or resets connections."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Network", "network"]

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


class Network:
    """What leads to a port; `port` is where it begins."""

    def __init__(self, to: int) -> None:
        self._to, self._listener = to, socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self.accepted = self.refused = 0
        self.pause = 0.0
        """Seconds that each piece of 64 kB takes."""
        self._never = threading.Event()
        self._goes, self._refuses = threading.Event(), False
        self._goes.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """Forward nothing more. Nobody is told: what is sent is taken, and connections are accepted."""
        self._goes.clear()

    def reset(self) -> None:
        """Reset all connections, and each new one."""
        self._refuses = True
        self._drop()

    def mend(self) -> None:
        """Go on: what waited is forwarded now, late as it is."""
        self._refuses = False
        self._goes.set()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()
        self._drop()

    def _drop(self) -> None:
        pairs, self._pairs = self._pairs, []
        for each in (side for pair in pairs for side in pair):
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.refused += self._refuses
                self.accepted += not self._refuses
                if not self._refuses:
                    with suppress(ConnectionRefusedError):  # the server is away
                        self._join(client, socket.create_connection(("127.0.0.1", self._to)))
                        continue
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        self._pairs.append((client, server))
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(1 << 16):
                self._goes.wait()
                self._never.wait(self.pause)
                other.sendall(piece)
            self._goes.wait()
            other.shutdown(socket.SHUT_WR)


@contextmanager
def network(to: int) -> Iterator[Network]:
    """Lead to a port."""
    found = Network(to)
    try:
        yield found
    finally:
        found.close()
