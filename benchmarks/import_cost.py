"""What `import replicate_kit` and its first use cost, as ratios to `import httpx`: on top of Python, and in whole.

Measure it in an environment without click and rich: httpx loads them where they are installed.
"""

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = (
    "pass",
    "import httpx",
    "import replicate_kit",
    "import replicate_kit; replicate_kit.Client",
    "import replicate_kit; replicate_kit.Client('r8_any')",
    "import replicate_kit; replicate_kit.Client(backend='mock')",
    "import replicate_kit; replicate_kit.Client(backend='mock').run('demo/poet', {'prompt': 'sea'})",
)


def seconds(statement: str) -> float:
    """Time one new interpreter that runs `statement`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Time all statements in turn, so that what disturbs the machine disturbs each of them alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how many processes of each")
    count = parser.parse_args().rounds
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(count)]
    start, httpx, *ours = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"{'':100} {'on top':>8} {'ratio':>6} {'whole':>8} {'ratio':>6}")
    for statement, median in zip(STATEMENTS[1:], (httpx, *ours), strict=True):
        on_top, ratio = median - start, (median - start) / (httpx - start)
        print(
            f"{statement:100} {on_top * 1e3:5.0f} ms {ratio:6.2f} {median * 1e3:5.0f} ms {median / httpx:6.2f}"
        )


if __name__ == "__main__":
    main()
