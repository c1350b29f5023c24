from __future__ import annotations

import asyncio
import email.utils
import functools
import gc
import io
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.simulator import (
    Clock,
    Simulator,
    canceled,
    log,
    metric,
    progress,
    sleep,
)
from replicate_kit.simulator._models.artifacts import named_by
from replicate_kit.simulator._service.scheduler import Scheduler
from replicate_kit.simulator._state import workers
from replicate_kit.simulator._state.clock import format_time, http_date, parse_time
from replicate_kit.simulator._state.workers import Workers
from replicate_kit.simulator.demo import _melody, _picture, _poem
from replicate_kit.transport import Request

Send = Callable[..., httpx.Response]


def test_a_clock_runs_as_fast_as_it_is_told() -> None:
    stopped, fast = Clock(start=100, rate=0), Clock(start=100, rate=1000)
    time.sleep(0.01)
    assert stopped.now() == 100
    assert fast.now() >= 110
    assert abs(Clock().now() - time.time()) < 5


def test_stamps_are_never_the_same() -> None:
    clock = Clock(start=1, rate=0)
    assert [clock.stamp() for _ in range(3)] == [1_000_000, 1_000_001, 1_000_002]


def test_a_clock_that_is_moved_right_after_it_was_read_ends_a_wait() -> None:
    from concurrent.futures import Future

    class Moved(Clock):
        """Is moved once, when somebody has just read it."""

        wanted = False

        def now(self) -> float:
            found = super().now()
            if self.wanted:
                self.wanted = False
                self.advance(60)
            return found

    clock = Moved(rate=0)
    until = clock.now() + 60
    clock.wanted = True
    thread = threading.Thread(target=clock.wait_until, args=(Future[None](), until), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_whoever_waits_is_woken_when_the_clock_is_moved() -> None:
    from concurrent.futures import Future

    clock, never, woken = Clock(rate=0), Future[None](), threading.Event()
    until = clock.now() + 60

    def wait() -> None:
        assert not clock.wait_until(never, until)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    clock.advance(59)
    assert not woken.wait(0.02)
    clock.advance(2)
    thread.join(10)
    assert woken.is_set()


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01", 0),
        ("2023-09-08T16:32:56.990893Z", 1694190776990893),
    ],
)
def test_times_are_read_in_any_zone(text: str, microseconds: int) -> None:
    assert parse_time(text) == microseconds


def test_times_are_written_with_milliseconds_or_microseconds() -> None:
    assert format_time(1_500_000) == "1970-01-01T00:00:01.500000Z"
    assert format_time(1_999_999, digits=3) == "1970-01-01T00:00:01.999Z"


def test_scheduled_tasks_run_in_the_order_of_their_times() -> None:
    clock, done, last = Clock(rate=0), [], threading.Event()
    scheduler = Scheduler(clock)
    scheduler.at(clock.now() + 2, lambda: (done.append(2), last.set()))
    scheduler.at(clock.now() + 1, lambda: done.append(1))
    scheduler.drop(scheduler.at(clock.now() + 1, lambda: done.append(0)))
    clock.advance(3)
    assert last.wait(10)
    assert done == [1, 2]


@pytest.mark.parametrize("begin", ["cold start", "scheduled"])
def test_waits_count_from_when_they_were_asked_for_however_late_their_threads_begin(
    begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, done, starts = Clock(0, rate=0), threading.Event(), threading.Thread.start

    def late(thread: threading.Thread) -> None:
        clock.advance(60)
        starts(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    if begin == "cold start":
        Workers("cold", 1, clock, cold_start=120).submit(done.set)
    else:
        Scheduler(clock).at(120, done.set)
    assert not done.wait(0.3)
    clock.advance(60)
    assert done.wait(10)


def ran(found: Workers, *jobs: Callable[[], object]) -> list[threading.Thread]:
    """Run jobs at once, and give the thread of each when all have ended."""
    threads, ends = list[threading.Thread](), [threading.Event() for _ in jobs]

    def run(job: Callable[[], object], end: threading.Event) -> None:
        job()
        threads.append(threading.current_thread())
        end.set()

    for job, end in zip(jobs, ends, strict=True):
        found.submit(functools.partial(run, job, end))
    assert all(end.wait(10) for end in ends)
    return threads


@pytest.mark.parametrize(("cold_start", "kept"), [(0.0, True), (1.0, False)])
def test_a_thread_waits_for_another_job_unless_its_start_takes_time(
    cold_start: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LINGER", 2.0 if kept else 3600.0)
    found = Workers("kept", 1, Clock(rate=1e6), cold_start=cold_start)
    (first,) = ran(found, int)
    first.join(0.2 if kept else 10)  # it waits for another job, or has ended
    assert (ran(found, int) == [first]) is kept


def test_jobs_at_once_have_threads_of_their_own_though_one_waits_for_a_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_LINGER", 0.5)
    found, together = Workers("together", 3, Clock()), threading.Barrier(3, timeout=10)
    ran(found, int)
    for _ in range(3):
        assert len(set(ran(found, *[together.wait] * 3))) == 3


def test_each_request_gives_others_their_turn_where_threads_are_greenlets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, given = Client(backend=Simulator()), list[float]()
    monkeypatch.setattr(time, "sleep", given.append)  # as gevent puts its own there
    client.accounts.current()
    assert given == [0.0]


def test_a_scheduler_ends_when_all_is_dropped_though_its_clock_stands_still() -> None:
    before, clock = set(threading.enumerate()), Clock(rate=0)
    scheduler = Scheduler(clock)
    for _ in range(3):
        scheduler.drop(scheduler.at(clock.now() + 1, lambda: None))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_functions_can_be_tried_out_without_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    log("one", 2, sep="-", end="!\n")
    metric("nothing", 1)
    sleep(0)
    assert not canceled()
    assert list(progress(iter("ab"))) == ["a", "b"]
    assert list(progress([1], total=1)) == [1]
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "one-2!"
    assert errors[1].startswith("0it [00:00, ?it/s]")
    assert errors[3].startswith("2it [00:00, ")


def test_kinds_of_files_are_told_by_their_beginnings() -> None:
    assert [
        named_by(each)
        for each in (b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF....WEBPVP8", b"....ftypisom", b"", b"x")
    ] == [*(".jpg", ".gif", ".webp", ".mp4", ".bin", ".bin")]


def test_pictures_follow_the_prompt() -> None:
    import random

    def paint(prompt: str, style: str = "auto") -> bytes:
        return _picture.landscape(prompt, 48, 32, random.Random(prompt), style)

    assert paint("night") == paint("night")
    assert len({paint("night"), paint("desert"), paint("a boat on the sea"), paint("night", "waves")}) == 4


def test_tunes_and_poems_are_as_long_as_asked() -> None:
    import random

    with wave.open(io.BytesIO(_melody.tune(1.0, 120, random.Random(1)))) as tune:
        assert (tune.getnchannels(), tune.getsampwidth(), tune.getframerate()) == (1, 2, 22_050)
        frames = tune.readframes(tune.getnframes())
    assert len(frames) == 2 * 22_050
    assert any(frames)
    text = "".join(_poem.words("the", 3, random.Random(1)))
    assert text.count("\n") == 2
    assert "silence" in text.lower()


def test_many_tasks_wait_at_once_in_one_loop(simulator: Simulator) -> None:
    from replicate_kit._runtime.runtimes import runtime

    async def one(number: int) -> Any:
        url = f"{simulator.base_url}/models/acme/shout/predictions"
        body = {"input": {"text": str(number)}}
        request = Request("POST", url, json=body, headers={"Prefer": "wait"})
        return (await simulator.handle(request, runtime(False))).json()["output"]

    async def main() -> list[Any]:
        return list(await asyncio.gather(*(one(number) for number in range(200))))

    assert asyncio.run(main()) == [f"{number}!" for number in range(200)]


@pytest.mark.parametrize("seconds", [0, 951782400.999, 1728065260.3, 4102444799])
def test_dates_of_headers_are_written_as_everybody_writes_them(seconds: float) -> None:
    assert http_date(seconds) == email.utils.formatdate(int(seconds), usegmt=True)


def test_a_run_in_process_loads_no_http_library_and_no_event_loop() -> None:
    program = """
import sys
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.simulator import Simulator, install
from replicate_kit.transport import Request
simulator = install(Simulator())
url = simulator.base_url + "/models/demo/poet/predictions"
request = Request("POST", url, json={"input": {"prompt": "a fox"}}, headers={"Prefer": "wait"})
assert run(simulator.handle(request, runtime(True))).status_code == 201
large = "anyio asyncio difflib email html http httpx mimetypes multiprocessing socket ssl urllib.request wave"
print(*(name for name in large.split() if name in sys.modules))
"""
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


def test_a_program_ends_though_predictions_run() -> None:
    program = """
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.simulator import default
from replicate_kit.transport import Request
url = default().base_url + "/models/demo/slow/predictions"
body = {"input": {"seconds": 3600}}
for _ in range(20):
    run(default().handle(Request("POST", url, json=body, headers={"Cancel-After": "1h"}), runtime(True)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_data_is_removed_though_nobody_asks(ask_of: Callable[..., Send]) -> None:
    clock = Clock()
    simulator = Simulator(clock=clock)

    @simulator.model("acme/frames")
    def frames(text: str) -> Iterator[bytes]:
        yield text.encode()

    ask = ask_of(simulator)
    create = {"json": {"input": {"text": "x" * 1000}}, "headers": {"Prefer": "wait"}}
    for _ in range(20):
        ask("POST", "/models/acme/frames/predictions", **create)
    clock.advance(3601)
    ask("POST", "/models/acme/frames/predictions", **create)
    store = simulator._service.store
    assert len(store.outputs) == 1
    assert sum(bool(each.events) for each in store.predictions.values()) == 1


def test_a_simulator_that_is_dropped_is_freed(ask_of: Callable[..., Send]) -> None:
    import weakref

    simulator = Simulator()
    gone = weakref.ref(simulator._service)
    ask_of(simulator)("GET", "/account")
    del simulator
    gc.collect()
    assert gone() is None
