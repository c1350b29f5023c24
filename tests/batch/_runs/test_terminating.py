"""SIGTERM, as schedulers and containers send it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.batch._engine import engine
from replicate_kit.batch._runs import streams, terminating
from replicate_kit.batch._runs.terminating import Terminated
from replicate_kit.cli._tables.tables import write_rows
from replicate_kit.simulator import Fault
from tests.served import Command

from ..conftest import Service, numbers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it")

STEADY = Path(__file__).parents[1].absolute() / "steady.py"
SCRIPT = """
import asyncio, signal, sys, time
from replicate_kit import Client

way, url, journal = sys.argv[1:]
rows = [{"n": number, "delay": 60.0 if number else 0.0} for number in range(8)]
client = Client("r8_any", backend="http", base_url=url, poll_interval=0.05)
options = {"journal": journal, "on_interrupt": "detach" if way == "detach" else "cancel"}


def blocking(pause=0.0):
    for result in client.map("acme/steady", rows, **options):
        print(result.index, flush=True)
        time.sleep(pause)


def block():
    with client.map("acme/steady", rows, **options) as results:
        for result in results:
            print(result.index, flush=True)
            time.sleep(60)


def held():
    results = client.map("acme/steady", rows, **options)
    for result in results:
        print(result.index, flush=True)
        time.sleep(60)


async def awaiting(pause=0.0):
    async for result in client.async_map("acme/steady", rows, **options):
        print(result.index, flush=True)
        await asyncio.sleep(pause)


async def async_block():
    async with client.async_map("acme/steady", rows, **options) as results:
        async for result in results:
            print(result.index, flush=True)


def trio():
    import trio

    trio.run(awaiting_in_trio)


async def awaiting_in_trio():
    async for result in client.async_map("acme/steady", rows, **options):
        print(result.index, flush=True)


def nested():
    others = [{"n": number + 100, "delay": 60.0} for number in range(1, 4)]
    for result in client.map("acme/steady", rows[:5], **options):
        print(result.index, flush=True)
        list(client.map("acme/steady", others, **options))


def handler():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    blocking()


def ignored():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    blocking()


ways = {
    "detach": blocking,
    "body": lambda: blocking(60.0),
    "async": lambda: asyncio.run(awaiting()),
    "async body": lambda: asyncio.run(awaiting(60.0)),
    "async block": lambda: asyncio.run(async_block()),
}
ways.get(way, globals().get(way, blocking))()
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in a process of its own, whose clients come and go."""
    with Command(tmp_path_factory.mktemp("service"), str(STEADY), "--quiet") as (_, url, _):
        yield url


class Run:
    """A program that is in the middle of a run of rows."""

    def __init__(self, command: list[str], url: str, *, wanted: int = 8, deaf: bool = False) -> None:
        self.client = Client("r8_any", backend="http", base_url=url)
        known = {each.id for each in self.client.predictions.list_all()}
        # Tests that run in the background of a shell are deaf, too, and hand that down.
        heeds = signal.SIG_IGN if deaf else signal.SIG_DFL
        number, path = tempfile.mkstemp()
        self._said = Path(path)
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=number,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, heeds),
            env={**os.environ, "REPLICATE_API_TOKEN": "r8_any"},
        )
        os.close(number)
        self._known = known
        while len(self._new()) < wanted:
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        time.sleep(0.5)

    def said(self) -> str:
        """What was written to standard error so far."""
        return self._said.read_text()

    def _new(self) -> list[Any]:
        return [each for each in self.client.predictions.list_all() if each.id not in self._known]

    def end(
        self, *signals: signal.Signals, then: Callable[[], object] = int
    ) -> tuple[int, str, Counter[str]]:
        """Send signals, wait, and give the exit status, what was said, and the states of the predictions."""
        for left, number in enumerate(signals, 1 - len(signals)):
            before = self.said()
            self.process.send_signal(number)
            # Two signals at once may be handled in any order.
            while left and self.said() == before and self.process.poll() is None:
                time.sleep(0.05)
            time.sleep(0.3)
        self.process.wait(timeout=60)
        said = self.said()
        self._said.unlink()
        then()
        states = Counter(str(each.status) for each in self._new())
        for each in self._new():
            each.cancel()
        self.client.close()
        return self.process.returncode, said, states


def script(way: str, url: str, journal: Path) -> list[str]:
    """The command that runs rows one way."""
    return [sys.executable, "-c", SCRIPT, way, url, str(journal)]


WAYS = ["plain", "body", "block", "held", "async", "async body", "async block", "trio"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_sigterm_cancels_what_is_in_flight_and_says_how_to_go_on(url: str, journal: Path, way: str) -> None:
    status, said, states = Run(script(way, url, journal), url).end(signal.SIGTERM)
    assert (status, states) == (143, {"succeeded": 1, "canceled": 7}), said
    assert "SIGTERM: canceling 7 predictions of acme/steady. Run it again with journal=" in said
    assert "Traceback" not in said


def test_what_is_detached_runs_on(url: str, journal: Path) -> None:
    status, said, states = Run(script("detach", url, journal), url).end(signal.SIGTERM)
    assert (status, states["canceled"]) == (143, 0)
    assert "SIGTERM: leaving 7 predictions" in said


def test_runs_within_runs_stop_together(url: str, journal: Path) -> None:
    status, said, states = Run(script("nested", url, journal), url).end(signal.SIGTERM)
    assert (status, states) == (143, {"succeeded": 1, "canceled": 7}), said
    assert said.count("SIGTERM: canceling") == 2


def test_a_program_that_has_a_way_of_its_own_keeps_it(url: str, journal: Path) -> None:
    status, said, states = Run(script("handler", url, journal), url).end(signal.SIGTERM)
    assert (status, states["canceled"]) == (7, 7)
    assert "SIGTERM" not in said


def test_a_program_that_ignores_it_goes_on(url: str, journal: Path) -> None:
    run = Run(script("ignored", url, journal), url)
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert run.process.poll() is None
    run.process.kill()
    run.end()


@pytest.fixture
def command(url: str, tmp_path: Path) -> list[str]:
    """`replicate-kit map` over a table whose last rows take long."""
    table = tmp_path / "numbers.csv"
    write_rows(table, ["n", "delay"], [{"n": n, "delay": 60 if n > 2 else 0} for n in range(8)])
    return [sys.executable, "-m", "replicate_kit", "map", "acme/steady", str(table), "--base-url", url]


@pytest.mark.parametrize("deaf", [False, True])
def test_the_command_stops_as_after_ctrl_c(command: list[str], url: str, deaf: bool) -> None:
    run = Run(command, url, deaf=deaf)
    if deaf:  # as after nohup, or in the background
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert run.process.poll() is None
    status, said, states = run.end(signal.SIGTERM)
    assert (status, states) == (143, {"succeeded": 3, "canceled": 5}), said
    assert "Canceling 5 predictions. A second SIGTERM leaves them running for the next run." in said
    assert "Terminated." in said
    assert "Run it again with --journal " in said
    assert "SIGTERM: " not in said


def test_the_demo_says_that_it_can_be_run_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "replicate_kit", "demo", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / ".replicate-kit").glob("journal.sqlite-runs/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "Run it again: it goes on where it stopped, and creates nothing twice." in said


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_leaves_at_once(
    command: list[str], url: str, first: signal.Signals, second: signal.Signals
) -> None:
    run = Run(command, url)
    control = f"{url}/_control/faults"
    httpx.post(control, json={"fault": "predictions.cancel,delay=15"}).raise_for_status()
    status, said, states = run.end(first, second, then=lambda: httpx.delete(control))
    assert (status, states["canceled"]) == (143 if second is signal.SIGTERM else 130, 0), said
    assert "Leaving 5 predictions running" in said
    assert "Run it again with --journal" in said


@pytest.fixture
def raised(service: Service) -> Iterator[Callable[[int], None]]:
    """Sends SIGTERM to this process once so many predictions were created, and its handler is there."""
    threads: list[threading.Thread] = []

    def send(created: int) -> None:
        def wait() -> None:
            while service.creates < created or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield send
    for thread in threads:
        thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_next_run_goes_on(
    service: Service, client: Client, journal: Path, raised: Callable[[int], None]
) -> None:
    raised(10)
    with pytest.raises(Terminated, match="143"):
        list(client.map("acme/patient", numbers(10), journal=journal))
    assert service.cancels == 10
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(10), journal=journal)] == list(
        range(10)
    )


@pytest.mark.parametrize("slow", ["*.create", "predictions.cancel", "predictions.list", "predictions.*"])
def test_a_slow_service_does_not_hold_up_the_end(
    service: Service,
    client: Client,
    journal: Path,
    raised: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    slow: str,
) -> None:
    monkeypatch.setattr(engine, "_WIND_UP", 0.5)
    service.simulator.faults.add(Fault(operation="*.create", calls={4}, cut=True, acted=True))
    service.simulator.faults.add(Fault(operation=slow, calls=set(range(9, 1000)), delay=600.0))
    raised(8)
    with service.client(timeout=1000.0) as patient, pytest.raises(Terminated):
        list(patient.map("acme/patient", numbers(20), journal=journal))
    service.simulator.faults.clear()
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(20), journal=journal)] == list(
        range(20)
    )


def test_all_limits_together_fit_in_the_time_that_kubernetes_gives() -> None:
    assert engine._WIND_UP < streams._LONGEST_STOP <= 25


def test_a_run_that_cannot_be_stopped_is_left(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_LONGEST_STOP", 0.3)
    go_on = threading.Event()

    def rows() -> Iterator[dict[str, int]]:
        os.kill(os.getpid(), signal.SIGTERM)
        go_on.wait(60)
        yield {"n": 1}

    with pytest.raises(Terminated):
        list(client.map("acme/double", rows()))
    go_on.set()


def current() -> Any:
    """What SIGTERM does now."""
    return signal.getsignal(signal.SIGTERM)


def test_the_handler_is_there_while_runs_go_on_only(service: Service, client: Client) -> None:
    assert current() is signal.SIG_DFL
    with client.map("acme/double", numbers(3)) as outer:
        next(outer)
        assert current() is terminating._terminate
        assert len(list(client.map("acme/double", numbers(3)))) == 3
        assert current() is terminating._terminate
    assert current() is signal.SIG_DFL
    with pytest.raises(ZeroDivisionError):
        list(client.map("acme/double", numbers(3), on_plan=lambda plan: 1 / 0))
    assert current() is signal.SIG_DFL


def test_a_handler_that_is_put_in_its_place_meanwhile_stays(client: Client) -> None:
    def mine(*_: object) -> None:
        """Do nothing."""

    with client.map("acme/double", numbers(3)):
        signal.signal(signal.SIGTERM, mine)
    assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is mine


def test_runs_of_other_threads_leave_it_alone(client: Client) -> None:
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: list(
            client.map("acme/double", numbers(2), on_plan=lambda plan: found.append(current()))
        )
    )
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


@pytest.mark.parametrize("is_ours", [True, False])
def test_where_nothing_runs_any_more_it_ends_the_program_as_ever(
    is_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    before = signal.signal(
        signal.SIGTERM, terminating._terminate if is_ours else lambda *given: terminating._terminate(*given)
    )
    try:
        signal.raise_signal(signal.SIGTERM)
        assert sent == [signal.SIGTERM] * is_ours  # a handler around ours decides itself what is next
        assert (current() is signal.SIG_DFL) == is_ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_asyncio_takes_it_in_the_middle_of_anything(
    service: Service, client: Client, journal: Path, raised: Callable[[int], None]
) -> None:
    async def run() -> None:
        async for _ in client.async_map("acme/patient", numbers(5), journal=journal):
            pass

    raised(5)
    with pytest.raises(Terminated):
        asyncio.run(run())
    assert service.cancels == 5
