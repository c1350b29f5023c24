"""A server of files on loopback that can break off, forget and lie: for tests of whatever fetches outputs."""

from __future__ import annotations

import threading
from typing import NamedTuple

from replicate_kit.testing._loopback import Handler, Loopback

__all__ = ["Asked", "FileServer"]


class Asked(NamedTuple):
    """A request that came: the file's name, the range that was asked for, and the headers in small letters."""

    name: str
    range: str | None
    headers: dict[str, str]


class FileServer(Loopback):
    """Serves files from memory on a socket of this machine, in `with`; `url` is its root.

    Use that as the `base_url` of a client to make it one of the hosts that output files come from. `breaks`
    lists, by name, after how many bytes each answer in turn breaks off; `stalls` says, by name, after how many
    bytes answers wait until the server is left, and `stalled` is set when one does; `status` makes a name
    answer with an error; without `ranges` it always sends whole files. `asked` is what it was asked for.

    >>> from replicate_kit import Client, FileOutput
    >>> with FileServer() as server, Client(backend="http", base_url=server.url) as client:
    ...     url = server.put("out.txt", b"hello there")
    ...     server.breaks["out.txt"] = [5]
    ...     FileOutput(url, client.session).read(), [each.range for each in server.asked]
    (b'hello there', [None, 'bytes=5-'])
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.breaks: dict[str, list[int]] = {}
        self.stalls: dict[str, int] = {}
        self.stalled = threading.Event()
        self.status: dict[str, int] = {}
        self.asked: list[Asked] = []
        self.ranges = True
        self._left = threading.Event()

    def put(self, name: str, content: bytes, content_type: str | None = None, **headers: str) -> str:
        """Serve a content under a name; give its URL. Underscores in the names of headers become hyphens."""
        self.contents[name] = content
        self.headers[name] = {key.replace("_", "-"): value for key, value in headers.items()}
        if content_type:
            self.headers[name]["Content-Type"] = content_type
        return f"{self.url}/{name}"

    def stall(self) -> None:
        """Wait until the server is left, as an answer of one of `stalls` does."""
        self.stalled.set()
        self._left.wait()

    def let_go(self) -> None:
        """End the waiting of answers of `stalls`."""
        self._left.set()


class _Handler(Handler[FileServer]):
    """Answers GET."""

    def do_GET(self) -> None:  # noqa: N802 - the name of the standard library
        name = self.path.partition("?")[0].lstrip("/")
        headers = {key.lower(): value for key, value in self.headers.items()}
        wanted = headers.get("range")
        self.owner.asked.append(Asked(name, wanted, headers))
        if name not in self.owner.contents or name in self.owner.status:
            self._begin(self.owner.status.get(name, 404), {"Content-Length": "0"})
        else:
            self._give(name, wanted if self.owner.ranges else None)

    def _give(self, name: str, wanted: str | None) -> None:
        """Send a file, or the range of it that was asked for, as far as the next break."""
        content = self.owner.contents[name]
        start, end = _bounds(wanted, len(content))
        if start >= len(content) > 0:
            self._begin(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        headers = {"Content-Length": str(end - start), **self.owner.headers[name]}
        if wanted:
            headers.setdefault("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self._begin(206 if wanted else 200, headers)
        breaks = self.owner.breaks.get(name)
        stop = min(start + breaks.pop(0), end) if breaks else end
        if name in self.owner.stalls:
            stop = min(stop, self.owner.stalls[name])
        self._send(content[start:stop])
        if name in self.owner.stalls:
            self.owner.stall()
        self.close_connection = self.close_connection or stop < end

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        """Send what stands before a body."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, content: bytes) -> None:
        """Send bytes; whoever asked may leave early."""
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True


FileServer.handler = _Handler


def _bounds(wanted: str | None, size: int) -> tuple[int, int]:
    """Read a range."""
    if not wanted:
        return 0, size
    start, _, last = wanted.removeprefix("bytes=").partition("-")
    return int(start), min(int(last) + 1, size) if last else size
