"""What a batch promises, case by case, counted at the server; offline, and without money.

python tests/batch/proofs.py             # all cases
python tests/batch/proofs.py killed notebook

`test_proofs.py` asserts what these functions give.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # it may be run as a script

from replicate_kit import Client, Result
from replicate_kit._unresolved.canonical import canonical
from replicate_kit.backends.mock import MockBackend
from replicate_kit.errors import InputError, ModelError
from replicate_kit.records import parse_time
from replicate_kit.simulator import Fault, Simulator
from replicate_kit.simulator import sleep as simulated_sleep
from tests.batch.conftest import Service, numbers, publish

_NOT_PAID = ("failed", "canceled", "aborted")


@dataclass(frozen=True)
class Figures:
    """What a case came to. `notes`, which differ from run to run, do not count in a comparison."""

    rows: int
    calls: int
    """Creates that reached the server and were accepted."""
    returned: int
    """Rows that have an output."""
    errors: int = 0
    duplicates: int = 0
    """Creates of an input beyond the first one that did not fail and was not canceled."""
    cancels: int = 0
    notes: dict[str, float] = field(default_factory=dict, compare=False)


@contextmanager
def served(**options: Any) -> Iterator[tuple[Service, Client]]:
    """A service, and a client of it."""
    service = publish(Service(Simulator(**options)))
    try:
        with service.client() as client:
            yield service, client
    finally:
        service.gate.set()
        service.simulator.close()


def counted(
    service: Service, errors: Sequence[object], *, before: int = 0, notes: dict[str, float] | None = None
) -> Figures:
    """Count at the server; `errors` has an error, or None, for each row."""
    failed = sum(each is not None for each in errors)
    paid = [
        canonical(each["input"])
        for each in service.simulator.recent(100_000)
        if each["status"] not in _NOT_PAID
    ]
    return Figures(
        rows=len(errors),
        calls=service.creates - before,
        returned=len(errors) - failed,
        errors=failed,
        duplicates=len(paid) - len(set(paid)),
        cancels=service.cancels,
        notes=notes or {},
    )


def errors_of(results: Sequence[Result]) -> list[object]:
    """The errors of results that stand where their rows stood."""
    assert [each.index for each in results] == list(range(len(results)))
    return [each.error for each in results]


def killed(rows: int = 300) -> Figures:
    """SIGKILL when 60 % are created, then the same again."""
    from tests.batch import crash

    with crash.served() as (url, folder):
        trial = crash.Trial(url, rows, folder / "trial", "killed")
        pid = trial.fork("first.json")
        while crash.created(url) < 0.6 * rows:
            time.sleep(0.01)
        left = crash.kill(pid, trial) + crash.left(trial)
        os.waitpid(trial.fork("second.json"), 0)
        seen = left + trial.figures("second.json", [[2 * number, ""] for number in range(rows)])
        cancels = crash.control(url, "/calls")["calls"].get("predictions.cancel", 0)
    notes: dict[str, float] = {
        "killed with an id": seen.in_flight,
        "without": seen.intents,
        "lost": seen.lost,
    }
    return Figures(rows, seen.creates, rows - seen.lost, rows * seen.unequal, seen.duplicates, cancels, notes)


def one_invalid_row(rows: int = 400) -> Figures:
    """One row does not fit the model's schema."""
    with served() as (service, client):
        inputs = [*numbers(36), {"n": "many"}, *numbers(rows - 37, 37)]
        results = list(client.map("acme/double", inputs))
        assert isinstance(results[36].error, InputError)
        return counted(service, errors_of(results))


def one_failing_row(rows: int = 400) -> Figures:
    """The model fails at one row."""
    inputs = [each for each in numbers(rows + 3) if each["n"] not in (137, 237, 337)]  # but it does at 37
    with served() as (service, client):
        results = list(client.map("acme/picky", inputs))
        assert isinstance(results[37].error, ModelError)
        return counted(
            service, errors_of(results), notes={"most tries of a row": max(service.tries.values())}
        )


def interrupted_twice(rows: int = 100) -> Figures:
    """The service interrupts the prediction of one row twice."""
    with served() as (service, client):
        return counted(service, errors_of(list(client.map("acme/shaky", numbers(rows)))))


def frame_with_duplicates() -> Figures:
    """A column with the index [10, 10, 11, 12], the same prompt twice, and a null."""
    import pandas as pd

    column = pd.Series(["same", "other", "same", None], index=[10, 10, 11, 12], name="text")
    with served() as (service, client):
        result = column.replicate.run("acme/words", client=client)
        assert result.index.tolist() == [10, 10, 11, 12]
        assert result.dropna().tolist() == ["same ", "other ", "same "]
        return replace(counted(service, [None] * len(result)), returned=int(result.count()))


def same_frame_twice(rows: int = 50) -> Figures:
    """The second run over a frame, with the journal of the first."""
    import pandas as pd

    frame = pd.DataFrame(numbers(rows))
    with served() as (service, client), tempfile.TemporaryDirectory() as folder:
        options = {"client": client, "journal": Path(folder, "journal.sqlite"), "details": True}
        first = frame.replicate.run("acme/double", **options)
        before = service.creates
        second = frame.replicate.run("acme/double", **options)
        assert first["output"].equals(second["output"])
        assert second["cached"].all()
        failures = [each if isinstance(each, str) else None for each in second["error"]]
        return counted(service, failures, before=before, notes={"paid by the first": before})


def throttled(seconds: int = 30) -> Figures:
    """The eleventh create is refused: 429, "resets in ~30s"."""
    refusal = Fault(operation="*.create", calls={11}, status=429, retry_after=seconds)
    with served(faults=[refusal]) as (service, client):

        @service.simulator.model("acme/brief", workers=64)
        def brief(n: int) -> int:
            simulated_sleep(0.5)
            return n

        results = list(client.map("acme/brief", numbers(40), concurrency=11))
        made = sorted(_moments(service, "created_at"))
        start, end = max(pairwise(made), key=lambda pair: pair[1] - pair[0])
        ended = sum(start < each < end for each in _moments(service, "completed_at"))
        refused = sum(each.status == 429 for each in service.simulator.requests)
        notes = {
            "seconds without creates": round(end - start, 1),
            "ended meanwhile": ended,
            "refused": refused,
        }
        return counted(service, errors_of(results), notes=notes)


def _moments(service: Service, name: str) -> list[float]:
    """When something happened to the predictions, in seconds."""
    times = (parse_time(each[name]) for each in service.simulator.recent(100_000))
    return [each.timestamp() for each in times if each is not None]


def many_in_flight(count: int = 200, seconds: float = 20.0) -> Figures:
    """200 predictions in flight, with the settings that a client has by itself."""
    with served() as (service, _), Client(backend=MockBackend(service.simulator)) as client:
        notes: dict[str, float] = {}

        def measure() -> None:
            _wait_until(lambda: service.creates >= count)
            gets, began = service.gets, time.monotonic()
            time.sleep(seconds)
            notes["GETs a minute"] = round((service.gets - gets) * 60 / (time.monotonic() - began))
            service.gate.set()

        measuring = threading.Thread(target=measure)
        measuring.start()
        results = list(client.map("acme/patient", numbers(count), concurrency=count))
        measuring.join()
        return counted(service, errors_of(results), notes=notes)


def interrupted(count: int = 50) -> Figures:
    """Ctrl-C with 50 predictions in flight, then the same again."""
    with served() as (service, client), tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journal.sqlite")

        def press_ctrl_c() -> None:
            _wait_until(lambda: service.creates >= count)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press_ctrl_c).start()
        with suppress(KeyboardInterrupt):
            list(client.map("acme/patient", numbers(count), journal=journal, concurrency=64))
        before = service.creates
        service.gate.set()
        results = list(client.map("acme/patient", numbers(count), journal=journal))
        return counted(service, errors_of(results), notes={"paid by the first": before})


def _wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; a server has no events."""
    while not condition():
        time.sleep(0.01)


CELLS = (
    "import os; os.environ['REPLICATE_KIT_BACKEND'] = 'mock'\n"
    "import asyncio, json, pandas as pd, replicate_kit, replicate_kit.simulator\n"
    "def column(*prompts): return pd.Series(prompts, name='prompt')",
    "given = [str(replicate_kit.run('demo/poet', {'prompt': 'sea'}))]",
    "given.append(str(await replicate_kit.async_run('demo/poet', {'prompt': 'hill'})))",
    "given += column('tree', 'fog').replicate.run('demo/poet').tolist()",
    "given += (await column('moon', 'rain').replicate.async_run('demo/poet')).tolist()",
    "rows = [{'prompt': 'wind'}]\n"
    "given += [each.output async for each in replicate_kit.default_client.async_map('demo/poet', rows)]",
    "patched = hasattr(asyncio, '_nest_patched')\n"
    "print(json.dumps([given, replicate_kit.simulator.default().created, patched]))",
)


def notebook() -> Figures:
    """Cells of a notebook, sync and async: single predictions, columns and rows."""
    from tests.notebooks import run_cells

    with tempfile.TemporaryDirectory() as folder:
        *silent, printed = run_cells(Path(folder), *CELLS)
    given, created, patched = json.loads(printed)
    assert not any(silent), silent
    assert not patched
    return Figures(rows=7, calls=created, returned=sum(bool(each) for each in given))


CASES: tuple[Callable[[], Figures], ...] = (
    killed,
    one_invalid_row,
    one_failing_row,
    interrupted_twice,
    frame_with_duplicates,
    same_frame_twice,
    throttled,
    many_in_flight,
    interrupted,
    notebook,
)
_LINE = "{:22} {:>5} {:>5} {:>8} {:>6} {:>10} {:>7}  {}"


def main(names: list[str]) -> None:
    """Print a line for each case."""
    print(_LINE.format("case", "rows", "calls", "returned", "errors", "duplicates", "cancels", "notes"))
    for case in CASES:
        if not names or case.__name__ in names:
            came = case()
            counts = (came.rows, came.calls, came.returned, came.errors, came.duplicates, came.cancels)
            notes = ", ".join(f"{name}: {value:g}" for name, value in came.notes.items())
            print(_LINE.format(case.__name__, *counts, notes), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:  # for the journals that nobody names
        os.environ["XDG_CACHE_HOME"] = cache
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # one case interrupts itself, which may be ignored
        main(sys.argv[1:])
