"""A small stand-in for Cog's servers, for what the real ones cannot be brought to do at will. Its answers are theirs.

The model repeats its prompt in capitals. "fail" fails, "slow" works until it is canceled, "crash" is the end of the
worker. `replies` are given first, in place of its own answers to predictions: a status and a body, or "cut" for a
connection that breaks.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

SCHEMA = {
    "openapi": "3.0.2",
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {
                    "prompt": {"type": "string", "default": "sea"},
                    "file": {"type": "string", "format": "uri"},
                },
            },
            "Output": {"type": "string"},
        }
    },
}
BUSY = 409, {"error": "At capacity - all prediction slots busy", "status": "failed"}
BUSY_OLD = 409, {"detail": "Already running a prediction"}


class StandIn:
    """One server, with so many slots."""

    def __init__(
        self,
        *,
        dialect: Literal["0.23", "0.16"] = "0.23",
        slots: int = 1,
        replies: Any = (),
        status: str = "READY",
        schema: Any = SCHEMA,
        port: int = 0,
        hold: threading.Event | None = None,
    ) -> None:
        self.dialect, self.slots, self.replies, self.status = dialect, slots, deque(replies), status
        self.schema, self.hold = schema, hold
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.inputs: list[dict[str, Any]] = []
        self.most = 0
        self._running: dict[str, threading.Event] = {}
        self._lock, self._stopped = threading.Lock(), False
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End at once: what runs is cut."""
        if self._thread.is_alive():
            self._stopped = True
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            for running in list(self._running.values()):
                running.set()
            if self.hold is not None:
                self.hold.set()

    @property
    def health(self) -> dict[str, Any]:
        status = "BUSY" if self.status == "READY" and len(self._running) >= self.slots else self.status
        version = {"version": {"coglet": "0.23.1"}} if self.dialect == "0.23" else {}
        return {
            "status": status,
            "setup": {"started_at": "now", "logs": "setting up\nno weights\n"},
            **version,
        }

    def predict(self, id: str, input: dict[str, Any]) -> tuple[int, Any] | Literal["cut"]:
        """Give the answer to a create: at the prediction's end."""
        with self._lock:
            if self.replies:
                reply: tuple[int, Any] | Literal["cut"] = self.replies.popleft()
                return reply
            if len(self._running) >= self.slots or self.status != "READY":
                return BUSY if self.dialect == "0.23" else BUSY_OLD
            canceled = self._running[id] = threading.Event()
            self.most = max(self.most, len(self._running))
            self.inputs.append(input)
        try:
            if self.hold is not None:
                self.hold.wait(30)
            answer = self._run(id, str(input.get("prompt", "sea")), canceled)
            return "cut" if self._stopped else answer
        finally:
            with self._lock:
                del self._running[id]

    def _run(self, id: str, prompt: str, canceled: threading.Event) -> tuple[int, Any]:
        if prompt == "slow":
            canceled.wait(30)
            return 200, {"id": id, "logs": "", "status": "canceled"}
        if prompt == "crash":
            self.status = "UNHEALTHY" if self.dialect == "0.23" else "DEFUNCT"
            if self.dialect == "0.16":
                return 500, "Internal Server Error"
            return 200, {"id": id, "logs": "one\nlast words\n", "error": "Worker crashed", "status": "failed"}
        if prompt == "fail":
            return 200, {"id": id, "logs": "", "error": "no such prompt", "status": "failed"}
        return 200, {
            "id": id,
            "logs": "at work\n",
            "output": prompt.upper(),
            "status": "succeeded",
            "metrics": {},
        }

    def cancel(self, id: str) -> int:
        with self._lock:
            running = self._running.get(id)
        if running is None:
            return 404
        running.set()
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *error: object) -> None:
        """Those who hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    owner: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *message: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._note()
        if self.path == "/health-check":
            self._answer(200, self.owner.health)
        elif self.path == "/openapi.json" and self.owner.schema:
            self._answer(200, self.owner.schema)
        else:
            self._answer(404, {"error": "OpenAPI schema not available"})

    def do_POST(self) -> None:
        self._note()
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.endswith("/cancel"):
            self._answer(self.owner.cancel(self.path.split("/")[-2]), {})
            return
        body = json.loads(content)
        answer = self.owner.predict(body["id"], body["input"])
        if answer == "cut":
            self.close_connection = True
            self.connection.close()
        else:
            self._answer(*answer)

    def _note(self) -> None:
        if self.owner._stopped:
            raise ConnectionAbortedError("the connection was kept, and the server is gone")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.seen.append((self.command, self.path, headers))

    def _answer(self, status: int, body: Any) -> None:
        is_text = isinstance(body, str)
        content = body.encode() if is_text else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain" if is_text else "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
