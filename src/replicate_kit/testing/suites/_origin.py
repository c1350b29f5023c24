"""A server on loopback that notes what arrives, byte for byte, and answers in good and bad ways."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from contextlib import suppress
from typing import NamedTuple

from replicate_kit.testing._loopback import Handler, Loopback

__all__ = ["Arrived", "Origin"]

_PATIENCE = 10.0
"""Seconds that an answer waits at most to be let go on."""


class Arrived(NamedTuple):
    """A request as it came: its target as it was written, its headers one by one, and its body's size and digest."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    size: int
    sha256: str

    def header(self, name: str) -> list[str]:
        """The values of a header, in the order in which they came."""
        return [value for each, value in self.headers if each.lower() == name]


class Origin(Loopback):
    """Serves in `with`. `arrived` is what came, `url` where it is.

    The last step of a path says how it is answered: `slow` waits between two chunks until `go_on` is set (`in_time`
    says whether it was), `silent` and `unread` answer only then, `cut` and `garbage` break off, `moved` redirects to
    `there`, `gzip` is encoded, `large` has a million bytes, `early` begins before it reads the body, `many` and `wide`
    have long heads, and that of `endless` has no end; all others get an empty JSON object.
    """

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.go_on, self.in_time = threading.Event(), True

    def wait(self) -> None:
        """Wait until the test lets answers go on."""
        self.in_time = self.go_on.wait(_PATIENCE)

    def let_go(self) -> None:
        """Let answers go on."""
        self.go_on.set()


class _Handler(Handler[Origin]):
    """Notes a request, and answers it."""

    def do_GET(self) -> None:  # noqa: N802 - the name of the standard library
        """Answer in the way that the path names."""
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name == "unread":
            self.owner.wait()
        if name == "early":
            self._begin(200, content_length="2")
            self.wfile.flush()
        body = b"" if name == "unread" else self._body()
        digest = hashlib.sha256(body).hexdigest()
        self.owner.arrived.append(Arrived(self.command, self.path, self.headers.items(), len(body), digest))
        answer = getattr(self, f"_{name}", None) if name in _WAYS else None
        (answer or self._give)()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the standard library

    def _body(self) -> bytes:
        """Read a body that announces its length, or comes in chunks."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _give(self, status: int = 200, content: bytes = b"{}", **headers: str) -> None:
        """Send a whole answer."""
        self._begin(status, content_length=str(len(content)), **headers)
        self.wfile.write(content)

    def _begin(self, status: int, **headers: str) -> None:
        """Send what stands before a body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _slow(self) -> None:
        self._begin(200, content_length="10")
        self.wfile.write(b"first")
        self.wfile.flush()
        self.owner.wait()
        self.wfile.write(b"later")

    def _silent(self) -> None:
        self.owner.wait()
        self.close_connection = True

    def _cut(self) -> None:
        self._begin(200, content_length="100")
        self.wfile.write(b'{"id":')
        self.close_connection = True

    def _garbage(self) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")
        self.close_connection = True

    def _large(self) -> None:
        self._give(200, self.path.encode().ljust(1_000_000, b"."))

    def _early(self) -> None:
        self.wfile.write(b"{}")

    def _many(self) -> None:
        self.send_response(200)
        for number in range(1000):
            self.send_header(f"x-{number}", "x" * 20)
        self.send_header("content-length", "0")
        self.end_headers()

    def _wide(self) -> None:
        self._give(200, x_wide="x" * 60_000)

    def _endless(self) -> None:
        self.send_response(200)
        with suppress(OSError):  # nobody reads on
            for number in range(40_000):
                self.wfile.write(b"x-%d: %s\r\n" % (number, b"x" * 20))
        self.close_connection = True

    def _moved(self) -> None:
        self._give(302, location="there")

    def _gzip(self) -> None:
        content = gzip.compress(json.dumps({"text": "x" * 1000}).encode())
        self._give(200, content, content_encoding="gzip")


Origin.handler = _Handler
_WAYS = frozenset(
    {"slow", "silent", "cut", "garbage", "moved", "gzip", "large", "early", "many", "wide", "endless"}
)
