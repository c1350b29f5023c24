"""What `import replicate_kit` and its first use cost, as ratios to `import httpx` (without Python's own start)."""

import statistics
import subprocess
import sys
import time

ROUNDS = 15
STATEMENTS = (
    "pass",
    "import httpx",
    "import replicate_kit",
    "import replicate_kit; replicate_kit.Client",
    "import replicate_kit; replicate_kit.Client('r8_any')",
    "import replicate_kit; replicate_kit.Client(backend='mock').models.get('demo/poet')",
)


def seconds(statement: str) -> float:
    """Time one new interpreter that runs `statement`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Time all statements in turn, so that what disturbs the machine disturbs each of them alike."""
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(ROUNDS)]
    start, httpx, *ours = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"{'import httpx':85} {(httpx - start) * 1e3:6.1f} ms   1.00 x")
    for statement, median in zip(STATEMENTS[2:], ours, strict=True):
        print(
            f"{statement:85} {(median - start) * 1e3:6.1f} ms   {(median - start) / (httpx - start):4.2f} x"
        )


if __name__ == "__main__":
    main()
