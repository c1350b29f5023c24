"""Peak memory and time of a run by its number of rows: `python benchmarks/many_rows.py --rows 1000000`.

The rows come from a generator, the models take no time, and the simulator in the same process remembers few
predictions, so that what grows with the number of rows is the engine's.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

SIZES = (2_000, 8_000)


def rows(count: int) -> Iterator[dict[str, str]]:
    """Make rows one by one."""
    for number in range(count):
        yield {"text": f"row {number}"}


def measure(count: int, ordered: bool) -> None:
    """Run so many rows, and print what that took."""
    from replicate_kit import Client
    from replicate_kit.backends.mock import MockBackend
    from replicate_kit.simulator import Simulator

    simulator = Simulator(keep=2_000)

    @simulator.model("acme/echo", workers=4)
    def echo(text: str) -> str:
        return text

    began, used, wrong = time.monotonic(), time.process_time(), 0
    with Client(backend=MockBackend(simulator)) as client:
        results = client.map("acme/echo", rows(count), ordered=ordered)
        for result in results:
            wrong += result.output != f"row {result.index}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent, used = time.monotonic() - began, time.process_time() - used
    requests = sum(simulator.calls.values())
    print(
        f"{count:>9,} rows: peak {peak:4.0f} MB, {spent:6.1f} s, {used / count * 1e3:.2f} ms of CPU a row (simulator "
        f"included), {requests / count:.2f} requests a row, {simulator.created:,} creates, {wrong} wrong",
        flush=True,
    )


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--ordered", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for count in options.rows:
        if options.here:
            measure(count, options.ordered)
        else:
            extra = ["--ordered"] if options.ordered else []
            subprocess.run([sys.executable, __file__, "--here", "--rows", str(count), *extra], check=True)


if __name__ == "__main__":
    main()
