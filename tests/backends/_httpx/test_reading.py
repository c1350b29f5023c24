"""As much is read at a time in an event loop as there is, and in blocking code much of a large file."""

from __future__ import annotations

import ssl
from typing import Any

import anyio
import pytest

from replicate_kit.backends._httpx.connecting import OnTheWire
from replicate_kit.transport import Request

KB = 1024


class Stream:
    """A connection of the library, to which something has come."""

    def __init__(self, *records: bytes, end: type[Exception] | None = None) -> None:
        self.asked, self.timeouts = list[int](), list[Any]()
        self._records, self._end = list(records), end

    def get_extra_info(self, info: str) -> Any:
        return None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.asked.append(max_bytes)
        self.timeouts.append(timeout)
        return self._records.pop(0) if self._records else b""


class TLSStream(Stream):
    """One whose records are read from what has decrypted them, too."""

    def get_extra_info(self, info: str) -> Any:
        return Decrypted(self._records, self._end) if info == "ssl_object" else None


class Decrypted:
    """What TLS has decrypted."""

    def __init__(self, records: list[bytes], end: type[Exception] | None) -> None:
        self._records, self._end = records, end

    def read(self, size: int) -> bytes:
        if self._records:
            return self._records.pop(0)
        if self._end is not None:
            raise self._end()
        return b""


def reads(stream: Any, event: str, times: int) -> list[bytes]:
    """What so many reads give once the library has told of the connection."""

    async def main() -> list[bytes]:
        watch = OnTheWire(Request("GET", "https://files.test/a"))
        await watch.take_in_loop(event, {"return_value": stream})
        return [await stream.read(64 * KB, timeout=5.0) for _ in range(times)]

    return anyio.run(main)


def test_more_is_asked_of_a_plain_connection() -> None:
    stream = Stream()
    assert reads(stream, "connection.connect_tcp.complete", 2) == [b"", b""]
    assert (stream.asked, stream.timeouts) == ([256 * KB] * 2, [5.0] * 2)


@pytest.mark.parametrize("end", [ssl.SSLWantReadError, ssl.SSLEOFError, ssl.SSLError, None])
def test_the_records_that_have_come_are_read_at_once(end: type[Exception] | None) -> None:
    records = [bytes([number]) * 16 * KB for number in range(40)]
    stream: Any = TLSStream(*records, end=end)
    got = reads(stream, "connection.start_tls.complete", 4)
    assert b"".join(got) == b"".join(records)
    assert [len(each) // KB for each in got] == [256, 256, 128, 0]


class BlockingStream:
    """A connection of the library in blocking code, which gives so many bytes, and at most what is asked for."""

    def __init__(self, *sizes: int, tls: object = None) -> None:
        self.asked, self._sizes, self._tls = list[int](), list(sizes), tls

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.asked.append(max_bytes)
        return bytes(min(max_bytes, self._sizes.pop(0)))


def asked_of(stream: BlockingStream, times: int) -> list[int]:
    """How many kilobytes so many reads ask for, where the library asks for 64."""
    OnTheWire(Request("GET", "https://files.test/a")).take(
        "connection.connect_tcp.complete", {"return_value": stream}
    )
    for _ in range(times):
        stream.read(64 * KB, timeout=5.0)
    return [each // KB for each in stream.asked]


def test_blocking_code_asks_for_more_once_a_file_is_large_and_there_is_more() -> None:
    much, some = 1024 * KB, 100
    assert asked_of(BlockingStream(*[much] * 18), 18) == [64] * 16 + [256] * 2
    # What does not come as fast as it is read is asked for in small parts, as are the next answers there.
    assert asked_of(BlockingStream(*[much] * 17, some, *[much] * 2), 20) == [64] * 16 + [256] * 2 + [64] * 2
    assert asked_of(BlockingStream(*[some] * 18), 18) == [64] * 18
    assert asked_of(BlockingStream(*[much] * 18, tls=object()), 18) == [64] * 18
