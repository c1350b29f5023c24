"""What comes out: outputs, files, order, and no more work than is taken."""

from __future__ import annotations

import pickle
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Budget, Client
from replicate_kit._files.outputs import FileOutput
from replicate_kit.errors import FileError, OutputExpired
from replicate_kit.simulator import Clock, Fault
from replicate_kit.storage import Target

from ..conftest import Service, numbers


class Shelf:
    """A plugin that stores files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.attempts: list[str] = []

    from replicate_kit import hookimpl

    @hookimpl
    def replicate_check_target(self, target: Target, session: Any) -> Any:
        async def check() -> None:
            return None

        return check()

    @hookimpl
    def replicate_store_output(self, file: FileOutput, target: Target, session: Any) -> Any:
        return self._store(file, target)

    async def _store(self, file: FileOutput, target: Target) -> str:
        self.attempts.append(target.stem)
        if any(each in target.stem for each in self.broken):
            raise FileError("the shelf is full")
        url = f"shelf://{target.stem}.png"
        self.files[url] = await file.async_read()
        return url


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def storing(service: Service, shelf: Shelf) -> Any:
    with service.client(plugins=[shelf]) as client:
        yield client


def test_texts_are_joined_and_files_are_plain_urls(client: Client) -> None:
    (text,) = client.map("acme/words", [{"text": "by the sea"}])
    assert text.output == "by the sea "
    (picture,) = client.map("acme/pictures", [{"text": "sea", "count": 2}])
    assert [type(each) for each in picture.output] == [str, str]
    assert picture.files == tuple(picture.output)


def test_files_are_stored_under_names_that_stay(storing: Client, shelf: Shelf, journal: Path) -> None:
    rows = [{"text": "a wombat, at sea", "count": 2}, {"text": "../../etc"}]
    results = list(storing.map("acme/pictures", rows, save_to="shelf://here", journal=journal))
    assert all(each.startswith("shelf://a-wombat-at-sea-") for each in results[0].files)
    assert set(shelf.files) == {file for each in results for file in each.files}
    assert b"a wombat, at sea 1" in shelf.files[results[0].output[1]]
    assert not any("/.." in each for each in shelf.files)
    shelf.attempts.clear()
    again = list(storing.map("acme/pictures", rows, save_to="shelf://here", journal=journal))
    assert [each.output for each in again] == [each.output for each in results]
    assert shelf.attempts == []


def test_files_are_named_by_a_function(storing: Client, shelf: Shelf) -> None:
    def name(index: int, input: Mapping[str, Any]) -> str:
        return f"{index}-{input['text']}"

    rows = [{"text": "sea"}, {"text": "hill"}]
    list(storing.map("acme/pictures", rows, save_to="shelf://x", stems=name))
    assert sorted(shelf.files) == ["shelf://0-sea.png", "shelf://1-hill.png"]


def test_what_could_not_be_stored_is_an_error_and_stored_by_the_next_run(
    service: Service, storing: Client, shelf: Shelf, journal: Path
) -> None:
    shelf.broken.add("hill")
    rows = [{"text": "sea"}, {"text": "hill"}]
    first = list(storing.map("acme/pictures", rows, save_to="shelf://x", journal=journal))
    assert first[0].error is None
    assert isinstance(first[1].error, FileError)
    assert first[1].status == "succeeded"
    assert first[1].output  # the API's own URLs: nothing is out of reach
    shelf.broken.clear()
    second = list(storing.map("acme/pictures", rows, save_to="shelf://x", journal=journal))
    assert [each.error for each in second] == [None, None]
    assert service.creates == 2


def test_what_may_expire_first_is_stored_first(storing: Client, shelf: Shelf, journal: Path) -> None:
    names = ["sea", "hill", "moor", "fen"]
    for name in reversed(names):
        list(storing.map("acme/pictures", [{"text": name}], journal=journal))
    rows = [{"text": name} for name in names]
    list(storing.map("acme/pictures", rows, journal=journal, save_to="shelf://x", concurrency=1))
    assert [each.partition("-")[0] for each in shelf.attempts] == list(reversed(names))


def test_what_was_finished_without_saving_can_be_saved_later(
    service: Service, storing: Client, shelf: Shelf, journal: Path
) -> None:
    list(storing.map("acme/pictures", [{"text": "sea"}], journal=journal))
    (result,) = storing.map("acme/pictures", [{"text": "sea"}], journal=journal, save_to="shelf://x")
    assert result.files[0] in shelf.files
    assert result.cached
    (moved,) = storing.map("acme/pictures", [{"text": "sea"}], journal=journal, save_to="shelf://y")
    assert moved.files
    (plain,) = storing.map("acme/pictures", [{"text": "sea"}], journal=journal)
    assert plain.files == moved.files  # the copy outlives the API's own
    assert service.creates == 1


def test_files_that_are_gone_before_they_are_stored_have_expired(
    make_service: Callable[..., Service], shelf: Shelf, journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    rows = [{"text": "sea"}, {"text": "hill"}]
    with service.client(plugins=[shelf]) as client:
        plain = list(client.map("acme/pictures", rows, journal=journal))
        clock.advance(2 * 3600)
        options: dict[str, Any] = {"save_to": "shelf://x", "journal": journal}
        for again in range(2):  # the run that finds out, and one that knows
            late = list(client.map("acme/pictures", rows, **options))
            assert [each.status for each in late] == ["expired", "expired"], again
            for result, before in zip(late, plain, strict=True):
                assert isinstance(result.error, OutputExpired)
                assert before.prediction_id in str(result.error)
                assert "retry=('expired',)" in str(result.error)
                assert result.error.prediction.status == "succeeded"
        assert (len(shelf.attempts), service.creates) == (2, 2)
        paid = list(client.map("acme/pictures", rows, retry=("expired",), **options))
    assert [(each.error, each.status) for each in paid] == [(None, "succeeded")] * 2
    assert (len(shelf.files), service.creates) == (2, 4)


def test_files_that_are_gone_stop_a_run_that_raises(
    make_service: Callable[..., Service], shelf: Shelf, journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    with service.client(plugins=[shelf]) as client:
        list(client.map("acme/pictures", [{"text": "sea"}], journal=journal))
        clock.advance(2 * 3600)
        with pytest.raises(BatchError, match="removed its output"):
            list(
                client.map(
                    "acme/pictures", [{"text": "sea"}], journal=journal, save_to="shelf://x", errors="raise"
                )
            )


def test_files_that_were_stored_elsewhere_are_not_expired(
    make_service: Callable[..., Service], shelf: Shelf, journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    with service.client(plugins=[shelf]) as client:
        options: dict[str, Any] = {"journal": journal}
        (kept,) = client.map("acme/pictures", [{"text": "sea"}], save_to="shelf://x", **options)
        clock.advance(2 * 3600)
        (moved,) = client.map("acme/pictures", [{"text": "sea"}], save_to="shelf://y", **options)
        for where in ({"save_to": "shelf://x"}, {}):
            (again,) = client.map("acme/pictures", [{"text": "sea"}], **where, **options)
            assert (again.error, again.files, again.cached) == (None, kept.files, True)
            list(client.map("acme/pictures", [{"text": "sea"}], save_to="shelf://y", **options))
    assert service.creates == 1
    assert (moved.status, moved.files) == ("succeeded", kept.files)
    assert "Copy them from there" in str(moved.error)


def test_results_come_as_they_finish_if_order_does_not_matter(service: Service) -> None:
    with service.client() as client:
        rows = [{"n": 1}, {"n": "bad"}, *numbers(6, 10), {"n": 10}]
        first = client.map("acme/double", rows, ordered=False)
        assert sorted(each.index for each in first) == list(range(9))


def test_a_slow_row_holds_back_only_those_behind_it_in_order(service: Service, client: Client) -> None:
    @service.simulator.model("acme/first", workers=64)
    def first(n: int) -> int:
        while n == 0 and not service.gate.is_set():
            time.sleep(0.01)
        return n

    def release() -> None:
        while service.creates < 300:
            time.sleep(0.01)
        service.gate.set()

    threading.Thread(target=release).start()  # all rows are created although the first is waited for
    assert [each.output for each in client.map("acme/first", numbers(300))] == list(range(300))


def test_a_run_gets_no_further_ahead_than_what_is_taken(service: Service, client: Client) -> None:
    with client.map("acme/double", numbers(1500), ordered=False) as batch:
        next(batch)
        before = -1
        while service.creates > before:  # until it pauses
            before = service.creates
            time.sleep(0.5)
        assert before < 1000
        assert sum(1 for _ in batch) == 1499


def test_results_are_small_and_travel(client: Client) -> None:
    for result in client.map("acme/picky", [{"n": 1}, {"n": 37}, {"n": "x"}]):
        copy = pickle.loads(pickle.dumps(result))
        assert (copy.index, copy.output, str(copy.error)) == (
            result.index,
            result.output,
            str(result.error),
        )
        assert not hasattr(result, "__dict__")


def test_many_threads_may_run_batches_with_one_client(service: Service, client: Client) -> None:
    outputs: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        outputs[number] = [each.output for each in client.map("acme/double", numbers(10, 10 * number))]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outputs == {n: [2 * row["n"] for row in numbers(10, 10 * n)] for n in range(6)}


def test_a_batch_that_was_closed_gives_nothing_more(service: Service, client: Client) -> None:
    batch = client.map("acme/double", numbers(3))
    with batch:
        pass
    assert list(batch) == []
    batch.close()


def test_a_slow_model_is_created_without_holding(service: Service) -> None:
    waits: list[bool] = []

    class Watching:
        from replicate_kit import hookimpl

        @hookimpl
        def replicate_transport_layer(self, config: Any) -> Callable[[Any], Any]:
            class Layer:
                def __init__(self, inner: Any) -> None:
                    self.inner = inner

                async def send(self, request: Any, /, *, stream: bool = False) -> Any:
                    if request.method == "POST":
                        waits.append("prefer" in request.headers)
                    return await self.inner.send(request, stream=stream)

                async def aclose(self) -> None:
                    await self.inner.aclose()

            return Layer

    @service.simulator.model("acme/sluggish", workers=8)
    def sluggish(n: int) -> int:
        time.sleep(1.6)
        return n

    with service.client(plugins=[Watching()]) as client:
        list(client.map("acme/sluggish", numbers(4), concurrency=2))
    assert waits[:2] == [True, True]
    assert waits[-1] is False


def test_budgets_settle_for_what_it_did_cost(service: Service, client: Client) -> None:
    results = list(
        client.map(
            "acme/double", numbers(30), price_per_second=1.0, cancel_after=10, budget=Budget(money=25.0)
        )
    )
    assert all(each.error is None for each in results)  # two at a time, each for next to nothing
    assert all(each.cost is not None and each.cost < 1 for each in results)


def test_the_error_of_a_run_that_stops_holds_what_has_an_end(client: Client, journal: Path) -> None:
    list(client.map("acme/picky", numbers(5, 35), journal=journal))
    # 37 has failed, which the journal knows: the run stops at once, and what it knows of the others is there.
    rows = [*numbers(100, 200), *numbers(5, 35)]
    with pytest.raises(BatchError) as caught:
        list(client.map("acme/picky", rows, journal=journal, errors="raise"))
    results = caught.value.results
    assert [(each.index, each.output) for each in results] == [
        (100, 35),
        (101, 36),
        (102, None),
        (103, 38),
        (104, 39),
    ]
    assert [type(each.error).__name__ for each in results if each.error] == ["ModelError"]


def nothing(*_: object) -> Any:
    raise ValueError("no name")


REFUSED: dict[str, dict[str, Any]] = {
    "a name that raises": {"stems": nothing},
    "a name that is no text": {"stems": lambda *_: 7},
    "a file that is gone": {"on_plan": lambda plan: Path("gone.txt").unlink()},
    "the service": {},
}


@pytest.mark.parametrize("by", sorted(REFUSED))
def test_a_row_that_was_refused_was_never_paid_for(
    service: Service, client: Client, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    @service.simulator.model("acme/weigh")
    def weigh(image: Path) -> int:
        return len(image.read_bytes())

    monkeypatch.chdir(tmp_path)
    if by == "the service":
        service.simulator.faults.add(Fault(operation="*predictions.create", status=422))
    for _ in range(2):
        Path("gone.txt").write_bytes(b"x" * 400_000)
        rows = [{"image": Path("gone.txt")}] * 2
        batch = client.map("acme/weigh", rows, journal=journal, save_to=str(tmp_path / "out"), **REFUSED[by])
        results = list(batch)
        assert [(each.status, each.cached, each.prediction_id) for each in results] == [
            ("rejected", False, None)
        ] * 2
        assert (batch.progress.done, batch.progress.failed, batch.progress.cached) == (2, 2, 0)
    assert service.creates == 0


def test_a_row_with_a_prediction_of_an_earlier_run_was_paid_for(
    service: Service, client: Client, journal: Path
) -> None:
    for cached in (False, True):
        batch = client.map("acme/picky", [{"n": 37}, {"n": 1}, {"n": 1}], journal=journal)
        assert [each.cached for each in batch] == [cached] * 3
        assert batch.progress.cached == 3 * cached


def test_what_may_have_been_created_counts_as_paid_for(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(1), journal=journal))
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("UPDATE items SET state = 'unknown', status = 'unknown', prediction_id = NULL")
    batch = client.map("acme/double", numbers(1), journal=journal)
    assert [(each.status, each.cached) for each in batch] == [("unknown", True)]
    assert batch.progress.cached == 1
