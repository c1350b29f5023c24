"""What the package is to reach, beside what was measured: `python benchmarks/goals.py --full`.

    python benchmarks/goals.py [--full] [--rounds 4] [--server URL] [--official PYTHON] [--only TEXT]

Each measurement is a process of its own; they take turns, and medians count. `--official` is an interpreter that has
`replicate` 1.0.7; without it, lines that need it are left out. `--server` is a service that understands what the one of
`_api.py` does, and is faster, such as one of nginx. On Linux the service has the first core, what is measured the last.
The first run compiles what it loads, as it is where packages are installed: let the second count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
Command = tuple[str, ...]  # the name of a measure, and its options
Found = dict[Command, dict[str, float]]
FIRST_RUN = "import replicate_kit as r; r.Client(backend='mock').run('demo/poet', {'prompt': 'sea'})"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass(frozen=True)
class Line:
    """One line of the table: what has to run, and what to make of that."""

    what: str
    goal: str
    commands: tuple[Command, ...]
    told: Callable[[Found], str]


def ratio(what: str, goal: str, ours: Command, theirs: Command, key: str, unit: str) -> Line:
    """A line that compares one figure of two measurements."""

    def told(found: Found) -> str:
        mine, other = found[ours][key], found[theirs][key]
        return f"{mine / other:.2f} ({mine:.3g} of {other:.3g} {unit})"

    return Line(what, goal, (ours, theirs), told)


def figures(what: str, goal: str, command: Command, text: str) -> Line:
    """A line that shows what one measurement gave."""
    return Line(what, goal, (command,), lambda found: text.format_map(found[command]))


def lines(full: bool) -> Iterator[Line]:
    """All lines; the short form has fewer rows and files."""
    many, window, crowd, looks, files = (
        (10_000, 7_680, 10_000, 60, 200) if full else (2_000, 1_280, 1_000, 16, 40)
    )
    plain: Command = ("rows", f"count={many}", "in_flight=64")
    fast: Command = (*plain, "backend=fast")
    official: Command = ("official", f"count={many // 5}", "in_flight=64")
    yield ratio(
        "CPU of a row, 64 in flight, over that of the official client", "0.33", plain, official, "cpu", "ms"
    )
    yield ratio("the same with the backend fast", "0.083", fast, official, "cpu", "ms")
    yield ratio("CPU of a row, the backend fast over http", "", fast, plain, "cpu", "ms")
    yield figures("rows in a commit of the journal, 64 in flight", "16", fast, "{per_commit:.0f}")
    for backend in ("http", "fast"):
        wide: Command = ("rows", f"count={window}", "in_flight=256", "ms=1000", f"backend={backend}")
        said = "{per_second:.0f}, {create_256:.2f} s"
        what = f"rows a second with concurrency=256 and a model of 1 s, and the 256th create ({backend})"
        yield figures(what, "243, 0.5 s", wide, said)
    grows: Command = ("rows", f"count={window}", "ms=1000")
    curve = "{create_128:.1f}, {create_256:.1f}, {create_512:.1f} s"
    yield figures("128th, 256th, 512th create without concurrency=", "slow start", grows, curve)
    for backend in ("http", "fast"):
        crowded: Command = ("unbounded", f"count={crowd}", f"backend={backend}")
        said = "{lost:.0f} lost, {cpu:.1f} ms, {seconds:.0f} s in all"
        yield figures(f"{crowd:,} async_run at once, CPU of each ({backend})", "0 lost, 2 ms", crowded, said)
    for ms in (200, 1900, 2050, 2350, *((20_000,) if full else ())):
        polled: Command = ("late", "how=poll", f"ms={ms}", f"count={looks}")
        said = "{median:.0f} ms, {looks:.1f}"
        yield figures(
            f"seen after its end by polling, model of {ms / 1000:g} s, and requests", "60 ms, 6", polled, said
        )
    if full:
        mapped: Command = ("late", "how=map", "ms=20000", "count=256")
        yield figures("the same by map, model of 20 s", "250 ms, 3", mapped, "{median:.0f} ms, {looks:.1f}")
    waited: Command = ("late", "how=wait", "ms=2050", f"count={looks}")
    yield figures("seen after its end with Prefer: wait, mean", "3 ms", waited, "{mean:.1f} ms")
    for how in ("map", "async_save"):
        for backend in ("http", "fast"):
            saved: Command = ("save", f"how={how}", f"count={files}", "kind=1m", f"backend={backend}")
            curl: Command = ("save", "how=curl", f"count={files}", "kind=1m")
            yield ratio(
                f"{files} files of 1 MB by {how} over curl -Z ({backend})", "2", saved, curl, "seconds", "s"
            )
    if full:
        large: Command = ("save", "how=save", "count=1", "kind=1g")
        curl = ("save", "how=curl", "count=1", "kind=1g")
        yield ratio("a file of 1 GB, with its checksum, over curl", "1.5", large, curl, "seconds", "s")
        yield figures("its memory", "40 MB", large, "{grown:.0f} MB")
    events: Command = ("events",)
    yield figures(
        "an event of 33 bytes; a parser of two lines", "1.2 µs", events, "{ours:.2f} µs; {plain:.2f}"
    )
    what = "a process with a first run on the mock over `import httpx`"
    yield ratio(what, "1", ("start", FIRST_RUN), ("start", "import httpx"), "cpu", "s")
    what = "predictions a second of CPU on the simulator, and by run"
    yield figures(what, "5000", ("mock",), "{predictions:.0f}, {runs:.0f}")


@cache
def python_of(official: str | None, name: str) -> str:
    """The interpreter that a measure needs."""
    return official if name == "official" and official else sys.executable


def measured(command: Command, server: str, official: str | None) -> dict[str, float]:
    """Measure once, in a process of its own on the last core."""
    name, *options = command
    started = resources()
    if name == "start":
        subprocess.run(
            [sys.executable, "-c", *options], check=True, preexec_fn=ON_LAST, stdout=subprocess.DEVNULL
        )
        return {"cpu": resources() - started}
    script = [python_of(official, name), str(HERE / "_measures.py"), name, server, *options]
    output = subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=ON_LAST).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def resources() -> float:
    """Seconds of CPU of all processes that were started here and have ended."""
    if sys.platform == "win32":
        return time.perf_counter()
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def on(core: int) -> Callable[[], None] | None:
    """What keeps a process on one core, where the system can do that and there are two."""
    return (lambda: os.sched_setaffinity(0, [CORES[core]])) if len(CORES) > 1 else None


ON_FIRST, ON_LAST = on(0), on(-1)


@contextmanager
def service(given: str | None) -> Iterator[str]:
    """Give the root of the service; start ours where none is given."""
    if given:
        yield given.rstrip("/")
        return
    command = [sys.executable, str(HERE / "_api.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=ON_FIRST) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--full", action="store_true", help="as many rows as the goals are set for: five minutes a round"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--server", help="the root of a service to use instead of the one that is started")
    parser.add_argument("--official", help="a Python that has replicate 1.0.7")
    parser.add_argument("--only", default="", help="only lines that have this text")
    given = parser.parse_args()
    # Packages are compiled when they are installed. Where this is set, each process would compile what it loads.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    table = [each for each in lines(given.full) if given.only in each.what]
    if not given.official:
        table = [each for each in table if all(name != "official" for name, *_ in each.commands)]
    commands = dict.fromkeys(command for each in table for command in each.commands)
    rounds: dict[Command, list[dict[str, float]]] = {each: [] for each in commands}
    with service(given.server) as server:
        for _ in range(given.rounds):
            for command, so_far in rounds.items():
                so_far.append(measured(command, server, given.official))
    medians = {
        command: {key: statistics.median(each[key] for each in so_far) for key in so_far[0]}
        for command, so_far in rounds.items()
    }
    packages = ", ".join(f"{name} {version(name)}" for name in ("replicate-kit", "httpx", "aiohttp"))
    print(
        f"{time.strftime('%d %B %Y')}, Python {platform.python_version()}, {packages}; medians of {given.rounds}.\n"
    )
    print("| what | must reach | measured |\n|---|---|---|")
    for each in table:
        print(f"| {each.what} | {each.goal} | {each.told(medians)} |")


if __name__ == "__main__":
    main()
