"""How much of an account's rate a run uses, and how much is refused.

The simulator allows 600 creates a minute with a burst of as many, and its clock runs six times as fast: a
minute lasts ten seconds, and 60 creates a second are allowed. The run begins with the rate that the API documents
for real time (10 a second) and has to find out.
"""

from __future__ import annotations

import argparse
import time

from replicate_kit import Client
from replicate_kit.simulator import Clock, RateLimits, Simulator, sleep

SPEED = 6


def main(rows: int, seconds: float, in_flight: int) -> None:
    """Run, and print shares of what was allowed."""
    limits = RateLimits(creates=600, others=3000)
    simulator = Simulator(rate_limits=limits, clock=Clock(rate=SPEED))
    moments: list[float] = []

    @simulator.model("acme/steady", workers=in_flight)
    def steady(n: int) -> int:
        moments.append(time.monotonic())
        sleep(seconds * SPEED)
        return n

    began = time.monotonic()
    with Client(backend=simulator) as client:
        results = list(client.map("acme/steady", [{"n": n} for n in range(rows)], concurrency=in_flight))
    took = time.monotonic() - began
    creating = moments[-1] - moments[0]
    allowed = limits.creates + limits.creates / 60 * SPEED * creating
    asked = simulator.calls["models.predictions.create"]
    others = sum(simulator.calls.values()) - asked
    print(f"{len(results)} rows in {took:.1f} s, of which {creating:.1f} s creating")
    print(f"creates: {rows / allowed:.1%} of what was allowed, {(asked - rows) / asked:.2%} refused")
    print(f"others: {others}, {others / (limits.others / 60 * SPEED * took):.1%} of what was allowed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--in-flight", type=int, default=200)
    main(**vars(parser.parse_args()))
