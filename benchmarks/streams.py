"""What it costs to decode a stream of events, beside httpx-sse where that is installed."""

import timeit
from collections.abc import Callable, Iterator

import httpx

from replicate_kit._formats.sse import Decoder

ROUNDS = 7
EVENTS = 5000
STREAM = b"".join(
    f"event: output\nid: 1690212292:{number}\ndata: word {number}\n\n".encode() for number in range(EVENTS)
)
LARGE = b"event: output\nid: 1\ndata: " + b"x" * 4_000_000 + b"\n\nevent: done\nid: 2\ndata: {}\n\n"
CHUNK = 4096


def chunks(stream: bytes) -> Iterator[bytes]:
    """Cut a stream as a network would."""
    return (stream[start : start + CHUNK] for start in range(0, len(stream), CHUNK))


def ours(stream: bytes) -> int:
    """Count the events that this package finds."""
    decoder = Decoder()
    return sum(len(decoder.feed(chunk)) for chunk in chunks(stream))


def candidates() -> dict[str, Callable[[bytes], int]]:
    """What is measured."""
    found: dict[str, Callable[[bytes], int]] = {"replicate_kit._formats.sse": ours}
    try:
        from httpx_sse import EventSource
    except ImportError:
        print("httpx-sse is not installed: pip install httpx-sse to compare with it.")
        return found

    def theirs(stream: bytes) -> int:
        headers = {"content-type": "text/event-stream"}
        response = httpx.Response(200, headers=headers, content=chunks(stream))
        return sum(1 for _ in EventSource(response).iter_sse())

    return {**found, "httpx-sse": theirs}


def main() -> None:
    """Measure all in turn, and print the best of each."""
    for title, stream, count in (("many small events", STREAM, EVENTS), ("one event of 4 MB", LARGE, 2)):
        measured = candidates()
        best = dict.fromkeys(measured, float("inf"))
        for _ in range(ROUNDS):
            for name, decode in measured.items():
                assert decode(stream) == count
                best[name] = min(best[name], timeit.timeit(lambda d=decode, s=stream: d(s), number=1))
        for name, seconds in best.items():
            rate, ratio = len(stream) / seconds / 1e6, seconds / best["replicate_kit._formats.sse"]
            print(
                f"{title:20} {name:20} {seconds / count * 1e6:10.2f} us an event  {rate:6.1f} MB/s  {ratio:5.2f} x"
            )


if __name__ == "__main__":
    main()
