"""Receives webhooks on loopback."""

from __future__ import annotations

import http.server
import threading
import time
from typing import Any


class Receiver:
    """Keeps the headers and bodies that come."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], str]] = []
        received = self.received

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait(self, count: int) -> list[tuple[dict[str, str], str]]:
        for _ in range(500):
            if len(self.received) >= count:
                return self.received
            time.sleep(0.02)
        raise AssertionError(f"{len(self.received)} of {count} webhooks came")
