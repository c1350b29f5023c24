"""Nothing more is created than can be saved before it expires."""

from __future__ import annotations

import heapq
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate_kit import BatchError, Budget, Client, hookimpl
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch._ledger.space import FLOOR, Space, check_space
from replicate_kit.batch._results import backlog as module
from replicate_kit.batch._results import saver
from replicate_kit.batch._results.backlog import SAFE, Backlog, Lag
from replicate_kit.errors import FileError
from replicate_kit.storage import FileURL, Target

from ..conftest import Service

pytestmark = pytest.mark.slow  # a large family

HOUR = 3600.0


class World(NamedTuple):
    """What a simulated run meets: how long a prediction and a save take, and when the store is down."""

    takes: Callable[[int], float]
    saves: Callable[[int], float]
    down: tuple[float, float] = (0.0, 0.0)
    window: int = 64
    transfers: int = 8


class Story(NamedTuple):
    """What came of it: how long after its end the last row was saved, how many were, and when all was over."""

    latest: float
    saved: int
    over: float
    most: int


def play(world: World, rows: int, *, held: bool = True, until: float = 100 * HOUR) -> Story:
    """Run rows on a clock of its own, as the engine and the saver do: a row is created when the backlog lets it."""
    now = 0.0
    backlog = Backlog(now=lambda: now)
    events: list[tuple[float, int, str, int]] = []
    line: deque[int] = deque()
    ends: dict[int, float] = {}
    created = in_flight = busy = saved = most = 0
    latest = 0.0

    def at(moment: float, what: str, row: int) -> None:
        heapq.heappush(events, (moment, len(ends) + created + row, what, row))

    while True:
        backlog.wanted = created < rows
        while created < rows and in_flight < world.window and not (held and backlog.holds(in_flight)):
            at(now + world.takes(created), "ended", created)
            created, in_flight = created + 1, in_flight + 1
        most = max(most, in_flight + backlog.unsaved)
        while line and busy < world.transfers:
            at(now + world.saves(line[0]), "stored", line.popleft())
            busy += 1
        if not events or now > until:
            return Story(latest, saved, now, most)
        now, _, what, row = heapq.heappop(events)
        if what == "ended":
            in_flight -= 1
            ends[row] = now
            backlog.finished(row)
            line.append(row)
        elif world.down[0] <= now < world.down[1]:
            backlog.failed(row)
            at(now + 5.0, "stored", row)
        else:
            busy, saved, latest = busy - 1, saved + 1, max(latest, now - ends[row])
            backlog.saved(row, size=1000)


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("slow link", World(takes=lambda row: 5.0, saves=lambda row: 200.0)),
        ("slow model and slower link", World(takes=lambda row: 600.0, saves=lambda row: 700.0)),
        ("bursts", World(takes=lambda row: 1.0 + 300.0 * (row // 50 % 2), saves=lambda row: 120.0)),
        ("first save", World(takes=lambda row: 1.0, saves=lambda row: 900.0 if row < 8 else 1.0)),
        ("all of them", World(takes=lambda row: 1.0, saves=lambda row: 880.0)),
        ("becomes slow", World(takes=lambda row: 5.0, saves=lambda row: 1.0 if row < 300 else 150.0)),
        ("down for 20 minutes", World(takes=lambda row: 5.0, saves=lambda row: 1.0, down=(60.0, 1260.0))),
        ("down at first", World(takes=lambda row: 5.0, saves=lambda row: 1.0, down=(0.0, 1200.0))),
        ("down and slow", World(takes=lambda row: 60.0, saves=lambda row: 60.0, down=(600.0, 1800.0))),
    ],
)
def test_every_row_is_saved_within_the_hour(name: str, world: World) -> None:
    story = play(world, 1000)
    assert story.saved == 1000
    assert story.latest < HOUR


def test_without_being_held_back_rows_expire() -> None:
    assert play(World(takes=lambda row: 5.0, saves=lambda row: 200.0), 1000, held=False).latest > HOUR


def test_a_store_that_keeps_up_holds_nothing_back() -> None:
    world = World(takes=lambda row: 10.0, saves=lambda row: 0.5)
    free, held = play(world, 2000, held=False), play(world, 2000)
    assert held.most >= 64
    assert held.over <= free.over + 2 * 10.0  # the first rows show how fast saving is


def test_a_store_that_is_slow_is_kept_busy() -> None:
    story = play(World(takes=lambda row: 5.0, saves=lambda row: 200.0), 1000)
    assert story.over < 1.1 * (1000 / 8 * 200.0)


def test_creates_go_on_after_the_store_is_back() -> None:
    story = play(World(takes=lambda row: 5.0, saves=lambda row: 1.0, down=(60.0, 1260.0)), 2000)
    assert story.over < 1260.0 + 600.0


@settings(max_examples=60)
@given(
    takes=st.lists(st.floats(0.1, 1200.0), min_size=1, max_size=5),
    saves=st.floats(0.01, 600.0),
    window=st.integers(1, 128),
    down=st.tuples(st.floats(0.0, 3000.0), st.floats(0.0, 1200.0)),
)
def test_nothing_expires_and_nothing_stands_still(
    takes: list[float], saves: float, window: int, down: tuple[float, float]
) -> None:
    world = World(
        takes=lambda row: takes[row % len(takes)],
        saves=lambda row: saves,
        window=window,
        down=(down[0], down[0] + down[1]),
    )
    story = play(world, 200, until=1e9)
    assert story.saved == 200
    assert story.latest < HOUR


def test_one_row_at_a_time_may_always_be_created() -> None:
    moment = 0.0
    backlog = Backlog(safe=10.0, now=lambda: moment)
    for row in range(5):
        assert backlog.lag(in_flight=0) is None
        backlog.finished(row)
        moment += 100.0
        assert backlog.lag(in_flight=0) is Lag.OLD
        assert backlog.lag(in_flight=1) is Lag.OLD
        backlog.failed(row) if row % 2 else backlog.saved(row)
        backlog.left(row)


def test_a_row_that_ended_long_ago_holds_others_back() -> None:
    backlog = Backlog(now=lambda: 0.0)
    backlog.finished("old", ago=SAFE + 1.0)
    assert backlog.lag(in_flight=0) is Lag.OLD
    backlog.left("old")
    assert backlog.lag(in_flight=0) is None


def test_a_row_of_its_own_fault_holds_nobody_back() -> None:
    backlog = Backlog(now=lambda: 0.0)
    backlog.wanted = True
    for row in range(3):
        backlog.finished(row)
    for _ in range(9):
        assert not backlog.failed(0)
    assert backlog.lag(in_flight=1) is None
    assert not backlog.failed(1)
    backlog.saved(1)
    assert not backlog.failed(2)


def test_rows_wait_for_a_store_only_while_others_are_to_be_created_and_not_for_ever() -> None:
    moment = 0.0
    backlog = Backlog(safe=100.0, now=lambda: moment)
    for row in range(3):
        backlog.finished(row)
        assert not backlog.failed(row)
    backlog.wanted = True
    assert backlog.failed(0)
    assert backlog.lag(in_flight=0) is Lag.DOWN
    moment = 100.0
    assert not backlog.failed(0)
    assert backlog.gave_up


def test_the_log_says_once_why_creates_pause(caplog: pytest.LogCaptureFixture) -> None:
    moment = 0.0
    backlog = Backlog(safe=10.0, now=lambda: moment)
    with caplog.at_level(logging.INFO, logger="replicate_kit"):
        backlog.finished(1)
        assert backlog.holds(in_flight=40)
        assert caplog.messages == []  # the first moments are no news
        moment = 6.0
        assert backlog.holds(in_flight=40)
        backlog.saved(1, size=5_000_000)
        assert all(backlog.holds(in_flight=40) for _ in range(3))
    first, second = caplog.messages
    assert (
        "Creates pause, because it is not known yet how fast files are saved: 1 finished row to save" in first
    )
    assert "more slowly than they are made: 0 finished rows to save, 40 in flight, 10 rows a minute" in second


# Real runs.


class Shelf:
    """A plugin that saves slowly, or not at all for a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.stored = seconds, 0
        self.broken: Callable[[], bool] = lambda: False

    @hookimpl
    def replicate_check_target(self, target: Target, session: Any) -> Coroutine[Any, Any, None] | None:
        return self.nothing() if target.folder.startswith("shelf:") else None

    async def nothing(self) -> None:
        return

    @hookimpl
    def replicate_store_output(self, file: Any, target: Target, session: Any) -> Any:
        return self.put(file, target, session) if target.folder.startswith("shelf:") else None

    async def put(self, file: Any, target: Target, session: Any) -> str:
        await session.sleep(self.seconds)
        if self.broken():
            raise FileError("the shelf is away")
        await file.async_read()
        self.stored += 1
        return FileURL(f"{target.folder}{target.stem}")


def rows(count: int) -> list[dict[str, str]]:
    return [{"text": f"hill {number}"} for number in range(count)]


def client_of(service: Service, shelf: Shelf) -> Client:
    return Client(backend=MockBackend(service.simulator), plugins=[shelf], poll_interval=0.02)


@pytest.mark.parametrize("held", [True, False])
def test_a_run_whose_saving_is_slow_loses_nothing(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    service = make_service(retention=4.0)
    monkeypatch.setattr(module, "SAFE", 2.0)
    if not held:
        monkeypatch.setattr(Backlog, "holds", lambda self, in_flight: False)
    with client_of(service, Shelf(0.6)) as client:
        results = list(client.map("acme/pictures", rows(90), save_to="shelf:", progress=False))
    expired = [each for each in results if each.error is not None]
    assert bool(expired) is not held
    assert service.creates == 90


def test_a_store_that_is_away_for_a_while_costs_no_row(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    began: list[float] = []

    def broken() -> bool:
        if shelf.stored < 60:  # until many rows come at a time
            return False
        began.append(time.monotonic())
        return time.monotonic() < began[0] + 2.5  # longer than one row alone is tried

    shelf.broken = broken
    with client_of(service, shelf) as client:
        # Few at a time: once all are created, nobody waits for the store, and a row is tried three times.
        results = list(
            client.map("acme/pictures", rows(400), save_to="shelf:", concurrency=32, progress=False)
        )
    assert [each.error for each in results] == [None] * 400
    assert "Creates pause, because no file can be saved" in caplog.text


def test_a_store_that_stays_away_ends_the_run_while_there_is_time(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAFE", 1.0)
    shelf = Shelf()
    shelf.broken = lambda: True
    with client_of(service, shelf) as client:
        with pytest.raises(
            BatchError, match=r"No file could be saved for .*the shelf is away.*free"
        ) as caught:
            list(client.map("acme/pictures", rows(500), save_to="shelf:", journal=journal, progress=False))
        assert len(caught.value.results) == service.creates < 100
        shelf.broken = lambda: False
        results = list(
            client.map("acme/pictures", rows(500), save_to="shelf:", journal=journal, progress=False)
        )
    assert [each.error for each in results] == [None] * 500
    assert service.creates == 500


@pytest.mark.parametrize(
    ("model", "options"), [("acme/patient", {}), ("acme/patient", {"save_to": "shelf:"})]
)
def test_what_has_no_files_to_save_is_not_held_back(service: Service, model: str, options: Any) -> None:
    with client_of(service, Shelf()) as client:
        batch = client.map(model, [{"n": number} for number in range(40)], progress=False, **options)
        batch.start()
        while service.creates < 40:
            time.sleep(0.01)
        service.gate.set()
        assert len(list(batch)) == 40


def test_a_small_table_does_not_wait_for_a_store(service: Service) -> None:
    shelf = Shelf()
    shelf.broken = lambda: True
    with client_of(service, shelf) as client:
        results = list(client.map("acme/pictures", rows(6), save_to="shelf:", progress=False))
    assert all(isinstance(each.error, FileError) for each in results)


# Free space.


def space(free: int | None, **more: Any) -> FileError | None:
    return Space("pictures", "journals", free=lambda folder: free).missing(**more)


@pytest.mark.parametrize(
    ("free", "need", "enough"),
    [
        (FLOOR, {}, True),
        (FLOOR - 1, {}, False),
        (0, {}, False),
        (None, {}, True),
        (FLOOR + 5_000, {"under_way": 4, "mean_size": 1000.0}, True),
        (FLOOR + 4_999, {"under_way": 4, "mean_size": 1000.0}, False),
        (FLOOR + 5_000, {"under_way": 4, "mean_size": 1000.0, "to_come": 10**6}, True),
    ],
)
def test_room_is_left_for_what_is_under_way(free: int | None, need: dict[str, Any], enough: bool) -> None:
    assert (space(free, **need) is None) is enough


def test_the_error_says_how_much_is_missing_for_all_rows() -> None:
    error = space(FLOOR, under_way=10, to_come=90, mean_size=1e9)
    assert "has 67.1 MB free, and about 100 GB are needed: 100 GB are missing" in str(error)
    assert "saving what is paid for, is free" in str(error)


@pytest.mark.parametrize(("short", "option"), [("pictures", "save_to"), ("journals", "journal")])
def test_both_folders_are_looked_at(short: str, option: str) -> None:
    error = Space("pictures", "journals", free=lambda each: 5 if each == short else 10**12).missing()
    assert f"The disk of {option}={short!r}" in str(error)


def disk(monkeypatch: pytest.MonkeyPatch, free: Callable[[str], int]) -> None:
    """Have disks with so much room."""
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real("/")._replace(free=free(str(path))))


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check_space(str(tmp_path / "a" / "b"))
    check_space("s3://bucket/folder")
    disk(monkeypatch, lambda path: 5)
    check_space("s3://bucket/folder")
    for folder in (tmp_path, f"file://{tmp_path}/a/b"):
        with pytest.raises(FileError, match=r"67\.1 MB are missing"):
            check_space(str(folder))


@pytest.mark.parametrize("short", ["pictures", "journals"])
def test_a_full_disk_is_told_before_anything_is_paid(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short: str
) -> None:
    (tmp_path / "journals").mkdir()
    options: Any = {"save_to": tmp_path / "pictures", "journal": tmp_path / "journals" / "j.sqlite"}
    list(client.map("acme/pictures", rows(2), **options))
    disk(monkeypatch, lambda path: 5 if short in path else 10**12)
    for act in (client.map, client.plan):
        with pytest.raises(FileError, match=rf"The disk of .*{short}.* are missing"):
            list(act("acme/pictures", rows(3), **options))  # type: ignore[arg-type]
    assert [each.error for each in client.map("acme/pictures", rows(2), **options)] == [
        None
    ] * 2  # that is free
    assert service.creates == 2


def test_a_disk_that_fills_up_stops_creates_and_what_is_paid_is_saved(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, journal: Path
) -> None:
    folder = tmp_path / "pictures"
    size = 8 + len("hill 10 0")
    room = FLOOR + 100 * size

    def free(path: str) -> int:
        return (
            room - sum(each.stat().st_size for each in folder.glob("*.png")) if "pictures" in path else 10**12
        )

    disk(monkeypatch, free)
    options: Any = {"save_to": folder, "journal": journal, "progress": False}
    with pytest.raises(BatchError, match=r"are missing.*run it again") as caught:
        list(client.map("acme/pictures", rows(400), **options))
    assert isinstance(caught.value.__cause__, FileError)
    saved = caught.value.results
    assert all(each.error is None and Path(each.files[0]).exists() for each in saved)
    assert len(saved) == service.creates
    assert 80 <= service.creates <= 115  # the names, and so the files, of the first are shorter
    room *= 100
    assert [each.error for each in client.map("acme/pictures", rows(400), **options)] == [None] * 400
    assert service.creates == 400


# Names.


@pytest.mark.parametrize("given", [KeyError("colour"), None, 5, b"hill"])
def test_a_row_whose_name_cannot_be_had_is_not_paid(
    service: Service, client: Client, tmp_path: Path, given: Any
) -> None:
    def name(index: int, input: Any) -> Any:
        if index == 3 and isinstance(given, Exception):
            raise given
        return given if index == 3 else f"hill {index}"

    results = list(client.map("acme/pictures", rows(9), save_to=tmp_path, stems=name, concurrency=1))
    assert [each.index for each in results if each.error is not None] == [3]
    said = "colour" if isinstance(given, Exception) else "stems= must give a text"
    assert said in str(results[3].error)
    assert (results[3].status, service.creates) == ("rejected", 8)


def test_each_row_is_named_once(client: Client, tmp_path: Path) -> None:
    count = iter(range(100))
    results = list(
        client.map("acme/pictures", rows(5), save_to=tmp_path, stems=lambda index, input: f"p{next(count)}")
    )
    assert sorted(Path(each.files[0]).name for each in results) == [f"p{number}.png" for number in range(5)]


# A store that is away when nothing more is created.


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes nothing, which runs wait for as long as there is more to create."""

    async def fail(*args: Any, **options: Any) -> None:
        raise FileError("the store is away")

    monkeypatch.setattr(saver, "store_outputs", fail)
    monkeypatch.setattr(module, "SAFE", 60.0)


@pytest.mark.usefixtures("away")
def test_a_store_that_is_away_is_not_waited_for_when_the_budget_is_spent(
    client: Client, tmp_path: Path
) -> None:
    batch = client.map("acme/pictures", rows(8), save_to=tmp_path, budget=Budget(predictions=4))
    statuses = [each.status for each in batch]
    assert sorted(statuses) == ["skipped"] * 4 + ["succeeded"] * 4


@pytest.mark.usefixtures("away")
def test_a_store_that_is_away_is_not_waited_for_when_the_results_are_left(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client.map("acme/pictures", rows(40), save_to=tmp_path, concurrency=4) as batch:
        while batch.progress.created < 4:
            time.sleep(0.01)
        time.sleep(0.5)
    assert "Not everything" not in caplog.text  # it did not use up the time that it has to end in order
