"""Stored files that somebody has deleted or cut: noticed by the next run, and never paid again unasked."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from replicate_kit import BatchError, Client, Result
from replicate_kit.batch import journals
from replicate_kit.errors import OutputExpired
from replicate_kit.simulator import Clock

from ..conftest import Service

HOURS = 2 * 3600.0
ROWS = [{"text": "sea", "count": 2}, {"text": "hill"}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(make_service: Callable[..., Service], clock: Clock) -> Service:
    """A service whose time can be moved."""
    return make_service(clock=clock)


@pytest.fixture
def options(tmp_path: Path, journal: Path) -> dict[str, Any]:
    return {"save_to": tmp_path / "pictures", "journal": journal}


def run(client: Client, **options: Any) -> list[Result]:
    return list(client.map("acme/pictures", ROWS, **options))


def test_a_deleted_file_is_stored_again_and_nothing_is_paid(
    service: Service, client: Client, options: dict[str, Any]
) -> None:
    first = run(client, **options)
    kept, gone = map(Path, first[0].files)
    content, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    plan = client.plan("acme/pictures", ROWS, price=1.0, **options)
    assert (plan.distinct, plan.cached, plan.gone, plan.in_flight, plan.to_pay) == (2, 1, 1, 0, 0)
    assert plan.cost == 0.0
    assert "1 in the journal" in str(plan)
    assert "1 prediction with stored files that are gone: looked up again, free" in str(plan)
    assert not gone.exists()  # a plan changes nothing
    assert [each.output for each in run(client, **options)] == [each.output for each in first]
    assert gone.read_bytes() == content
    assert kept.stat().st_mtime_ns == stamp  # what is still there is not transferred again
    assert service.creates == 2
    assert client.plan("acme/pictures", ROWS, **options).cached == 2


@pytest.mark.parametrize("size", [0, 5, 500])
def test_a_file_of_another_size_is_stored_again(
    service: Service, client: Client, options: dict[str, Any], size: int
) -> None:
    path = Path(run(client, **options)[1].files[0])
    content = path.read_bytes()
    path.write_bytes(b"x" * size)
    (_, again) = run(client, **options)
    assert (again.error, again.cached, path.read_bytes()) == (None, True, content)
    assert service.creates == 2


def test_files_in_a_folder_by_its_url_are_looked_at(client: Client, journal: Path, tmp_path: Path) -> None:
    options = {"save_to": f"file://{tmp_path}/pictures", "journal": journal}
    (url,) = run(client, **options)[1].files
    path = Path(url.removeprefix("file://"))
    path.unlink()
    assert run(client, **options)[1].files == (url,)
    assert path.exists()


def test_a_deleted_file_that_the_api_has_removed_is_an_error_that_names_it(
    service: Service, client: Client, options: dict[str, Any], clock: Clock
) -> None:
    first = run(client, price=0.5, **options)
    clock.advance(HOURS)
    kept, gone = map(Path, first[0].files)
    gone.unlink()
    for expected in (1, 0):  # the run that finds out, and one that knows
        assert client.plan("acme/pictures", ROWS, **options).gone == expected
        (late, hill) = run(client, **options)
        assert (hill.error, hill.files) == (None, first[1].files)
        assert late.status == "expired"
        assert isinstance(late.error, OutputExpired)
        assert f"The stored file {str(gone)!r} is not there any more" in str(late.error)
        assert "Put the file back and run it again, or pass retry=('expired',)" in str(late.error)
        assert late.output == [str(kept)]  # what is left
        assert late.files == (str(kept),)
        assert (late.cost, late.seconds, late.cached) == (0.5, first[0].seconds, True)
    assert service.creates == 2


def test_files_that_are_back_are_good_again_whatever_is_to_be_retried(
    service: Service, client: Client, options: dict[str, Any], clock: Clock
) -> None:
    first = run(client, **options)
    clock.advance(HOURS)
    gone = Path(first[0].files[1])
    content = gone.read_bytes()
    gone.unlink()
    assert run(client, **options)[0].status == "expired"
    gone.write_bytes(content)
    plan = client.plan("acme/pictures", ROWS, retry=("expired",), **options)
    assert (plan.cached, plan.to_pay) == (2, 0)
    again = run(client, retry=("expired",), **options)
    assert [(each.status, each.error, each.files) for each in again] == [
        ("succeeded", None, each.files) for each in first
    ]
    assert service.creates == 2


def test_lost_files_are_paid_again_if_that_is_asked_for(
    service: Service, client: Client, options: dict[str, Any], clock: Clock
) -> None:
    first = run(client, **options)
    clock.advance(HOURS)
    for file in first[0].files:
        Path(file).write_bytes(b"")
    (late, _) = run(client, **options)
    assert "has 0 bytes instead of" in str(late.error)
    assert "(and 1 more of its row are missing or changed)" in str(late.error)
    assert client.plan("acme/pictures", ROWS, retry=("expired",), **options).to_pay == 1
    (paid, _) = run(client, retry=("expired",), **options)
    assert (paid.error, paid.files, paid.cached) == (None, first[0].files, False)
    assert all(Path(file).stat().st_size for file in paid.files)
    assert service.creates == 3


def test_a_run_that_stores_nothing_gives_no_paths_of_files_that_are_gone(
    service: Service, client: Client, options: dict[str, Any], journal: Path, clock: Clock
) -> None:
    first = run(client, **options)
    for file in first[0].files:
        Path(file).unlink()
    (fresh, hill) = run(client, journal=journal)
    assert all(file.startswith("https://") for file in fresh.files)
    assert len(fresh.files) == 2
    assert hill.files == first[1].files
    clock.advance(HOURS)
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE items SET finished_at = finished_at - ?", (HOURS,))
    connection.close()
    (late, hill) = run(client, journal=journal)
    assert (late.status, late.output, late.files) == ("expired", [], ())
    assert str(Path(first[0].files[0])) in str(late.error)
    assert (hill.error, hill.files) == (None, first[1].files)
    assert service.creates == 2


def test_a_file_that_is_gone_from_one_place_is_stored_in_another(
    service: Service, client: Client, options: dict[str, Any], tmp_path: Path, clock: Clock
) -> None:
    first = run(client, **options)
    for file in first[0].files:
        Path(file).unlink()
    moved = run(client, **options | {"save_to": tmp_path / "other"})
    assert all(Path(file).parent.name == "other" and Path(file).exists() for file in moved[0].files)
    for file in moved[0].files:
        Path(file).unlink()
    clock.advance(HOURS)
    (late, hill) = run(client, **options)
    assert isinstance(late.error, OutputExpired)
    assert "Copy them from there" in str(hill.error)  # these are still in the other place
    assert service.creates == 2


def test_a_run_that_raises_stops_at_files_that_are_gone(
    service: Service, client: Client, options: dict[str, Any], clock: Clock
) -> None:
    path = Path(run(client, **options)[1].files[0])
    clock.advance(HOURS)
    path.unlink()
    for _ in range(2):
        with pytest.raises(BatchError, match="is not there any more"):
            run(client, errors="raise", **options)
    assert service.creates == 2


def test_what_cannot_be_looked_at_is_taken_to_be_there(client: Client, options: dict[str, Any]) -> None:
    (url,) = run(client, **options)[1].files
    Path(url).unlink()
    Path(url).symlink_to(url)  # a link to itself
    assert client.plan("acme/pictures", ROWS, **options).gone == 0
    assert run(client, **options)[1].files == (url,)


def test_objects_in_stores_are_not_looked_at(service: Service, client: Client, journal: Path) -> None:
    options = {"save_to": f"memory://{journal.parent.name}", "journal": journal}
    first = run(client, **options)
    store = fsspec.filesystem("memory")
    store.rm(first[1].files[0])
    assert client.plan("acme/pictures", ROWS, **options).cached == 2
    assert [each.files for each in run(client, **options)] == [each.files for each in first]
    assert not store.exists(first[1].files[0])


def test_texts_have_no_files_to_lose(client: Client, options: dict[str, Any]) -> None:
    list(client.map("acme/words", [{"text": "by the sea"}], **options))
    plan = client.plan("acme/words", [{"text": "by the sea"}], **options)
    assert (plan.cached, plan.gone) == (1, 0)


def test_names_stay_those_of_the_rows_that_had_them_first(client: Client, options: dict[str, Any]) -> None:
    def name(index: int, input: Any) -> str:
        return "picture"

    sea, hill = {"text": "sea"}, {"text": "hill"}
    (first,) = client.map("acme/pictures", [sea], stems=name, **options)
    content = Path(first.files[0]).read_bytes()
    (second,) = client.map("acme/pictures", [hill], stems=name, **options)
    assert Path(first.files[0]).name == "picture.png"
    assert second.files[0] != first.files[0]
    assert Path(first.files[0]).read_bytes() == content
    Path(second.files[0]).unlink()
    both = list(client.map("acme/pictures", [hill, sea], stems=name, **options))
    assert [each.files for each in both] == [second.files, first.files]
    assert Path(first.files[0]).read_bytes() == content


def test_a_row_that_takes_the_place_of_another_does_not_take_its_files(
    client: Client, options: dict[str, Any]
) -> None:
    sea, hill = {"text": "sea"}, {"text": "hill", "count": 2}
    options["save_to"] = f"{options['save_to']}/{{row}}{{ext}}"
    (first,) = client.map("acme/pictures", [sea], **options)
    second, again = client.map("acme/pictures", [hill, sea], **options)
    assert Path(first.files[0]).name == "0.png"
    assert again.files == first.files
    contents = [Path(each).read_bytes() for each in (*first.files, *second.files)]
    assert [each.split(b"\n")[-1] for each in contents] == [b"sea 0", b"hill 0", b"hill 1"]


def test_samples_of_a_row_do_not_share_the_names_of_their_files(
    service: Service, client: Client, options: dict[str, Any]
) -> None:
    @service.simulator.model("acme/varied", workers=1)
    def varied(text: str) -> list[bytes]:
        service.tries[0] += 1
        return [b"%d" % service.tries[0]] * (2 if service.tries[0] == 1 else 1)

    rows = [{"text": "sea"}] * 2
    results = list(client.map("acme/varied", rows, dedupe=False, concurrency=1, **options))
    names = [file for each in results for file in each.files]
    assert len({*names}) == len(names) == 3


def test_names_of_what_is_forgotten_are_free(client: Client, options: dict[str, Any], journal: Path) -> None:
    def name(index: int, input: Any) -> str:
        return "picture"

    (first,) = client.map("acme/pictures", [{"text": "sea"}], stems=name, **options)
    journals.prune(journal)
    (second,) = client.map("acme/pictures", [{"text": "hill"}], stems=name, **options)
    assert second.files == first.files


@pytest.fixture
def set_clocks(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Moves the service's clock, and this computer's."""
    now, moved = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: now() + moved[0])

    def move(theirs: float, ours: float) -> None:
        clock.advance(theirs)
        moved[0] += ours

    return move


def test_what_is_taken_up_late_expires_an_hour_after_its_end(
    client: Client, journal: Path, set_clocks: Callable[[float, float], None]
) -> None:
    list(client.map("acme/pictures", ROWS, journal=journal))
    with sqlite3.connect(journal) as connection:  # as it is where a run dies before it sees the end
        connection.execute(
            "UPDATE items SET state = 'created', output = NULL, finished_at = NULL, status = NULL"
        )
    connection.close()
    set_clocks(50 * 60.0, 50 * 60.0)
    assert {each.status for each in client.map("acme/pictures", ROWS, journal=journal)} == {"succeeded"}
    set_clocks(20 * 60.0, 20 * 60.0)
    results = list(client.map("acme/pictures", ROWS, journal=journal))
    assert all(isinstance(each.error, OutputExpired) for each in results)


def test_a_clock_that_is_set_back_keeps_no_file_alive(
    client: Client, journal: Path, set_clocks: Callable[[float, float], None]
) -> None:
    list(client.map("acme/pictures", ROWS, journal=journal))
    list(client.map("acme/words", [{"text": "by the sea"}], journal=journal))
    set_clocks(HOURS, -HOURS)
    results = list(client.map("acme/pictures", ROWS, journal=journal))
    assert all(isinstance(each.error, OutputExpired) for each in results)
    (words,) = client.map("acme/words", [{"text": "by the sea"}], journal=journal)
    assert words.output == "by the sea "
