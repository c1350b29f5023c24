"""A server on this machine for a test, which ends with a `with` block."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Generic, Self, TypeVar

__all__ = ["Handler", "Loopback"]

S = TypeVar("S", bound="Loopback")


class Loopback:
    """Answers on a port of 127.0.0.1 while it is entered; `handler` is the class that does so."""

    handler: ClassVar[type[Handler[Any]]]
    _server: _Server | None = None

    @property
    def url(self) -> str:
        """The root of the server, without a slash at its end. Raises `RuntimeError` before it is entered."""
        if self._server is None:
            raise RuntimeError(f"The {type(self).__name__} is not running. Use it in a `with` block.")
        return f"http://127.0.0.1:{self._server.server_port}"

    def let_go(self) -> None:
        """Release what waits in an answer, as the server ends."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (self.handler,), {"owner": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self.let_go()
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler, Generic[S]):
    """Answers a request of `owner`'s."""

    protocol_version = "HTTP/1.1"
    # Else a body, which is sent after its head, would wait 40 ms for the other side.
    disable_nagle_algorithm = True
    owner: S

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever asked has gone."""
