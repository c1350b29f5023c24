"""One family for all who search for an unresolved create: a run that is given up, one whose answer is lost, a batch."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from replicate_kit import Client, hookimpl
from replicate_kit._formats.references import Reference
from replicate_kit.batch._engine import requests
from replicate_kit.errors import ConnectionLost, UncertainCreate, UnknownPrediction
from replicate_kit.resources._running.running import Run, Runnable
from replicate_kit.schema import Field
from replicate_kit.simulator import Clock, Fault, Simulator
from replicate_kit.simulator import sleep as simulated_sleep
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Abilities
from tests.batch.bending import Bent
from tests.layers import Between

HOUR, WHILE = 3600.0, 600.0
PROMPT = "a wombat, by the sea, in the rain, at night, with an umbrella, number {0}"


def input_of(number: int, **more: Any) -> dict[str, Any]:
    """An input with all that may be shown otherwise."""
    return {"prompt": PROMPT.format(number), "scale": 0.1 + number, "key": f"hunter{number}", **more}


class Losing(Between):
    """A layer that loses the answer to a create: the `at`th, after `then` was called."""

    def __init__(self, error: BaseException, at: int, acted: bool, then: Callable[[], None]) -> None:
        self.error, self.at, self.acted, self.then = error, at, acted, then
        self.posts, self.lost = 0, ""

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        if request.method != "POST" or not request.url.path.endswith("/predictions"):
            return await self.inner.send(request, stream=stream)
        self.posts += 1
        if self.posts == self.at and not self.acted:
            raise self.error
        request.headers.pop("prefer", None)
        response = await self.inner.send(request, stream=stream)
        if self.posts == self.at:
            self.lost = response.json()["id"]
            self.then()
            raise self.error
        return response

    async def aclose(self) -> None:
        """Hold nothing."""


@dataclass
class Service:
    """A simulated service, and the predictions of other programs at it."""

    simulator: Simulator
    bend: Any = None
    others: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def another(self, model: str, input: dict[str, Any]) -> None:
        """Let another program create a prediction."""
        with Client(backend=self.simulator) as client:
            self.others.append(client.predictions.create(model=model, input=input).id)

    def losing(self, losing: Losing, **options: Any) -> Client:
        """A client whose create is lost."""
        settings = {"poll_interval": 0.02, "timeout": 0.5, "retries": 0} | options
        return Client(backend=Bent(self, self.bend), plugins=[losing], **settings)  # type: ignore[arg-type]

    def status(self, id: str) -> str:
        """How a prediction is."""
        with Client(backend=self.simulator) as client:
            return str(client.predictions.get(id).status)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Makes services whose predictions run until the test has ended."""
    monkeypatch.setattr(requests, "SETTLING", 0.0)
    with contextlib.ExitStack() as stack:

        def make(*, endless: bool = True, **options: Any) -> Service:
            simulator = stack.enter_context(Simulator(**options))
            stack.callback(lambda: over.append(True))
            over: list[bool] = [] if endless else [True]

            def wait() -> None:
                while not over:
                    simulated_sleep(0.01)

            @simulator.model("acme/paid", workers=256)
            def paid(
                prompt: str,
                key: Annotated[str, Field(format="password")],
                scale: float = 1.0,
                by: int = 3,
                image: Path | None = None,
            ) -> str:
                wait()
                return f"out: {prompt}"

            @simulator.model("acme/other", workers=256)
            def other(prompt: str, key: str = "", scale: float = 1.0) -> str:
                wait()
                return prompt

            return Service(simulator)

        yield make


# What a service is like.

Bend = Callable[[dict[str, Any]], None]


def shows(change: Bend, *, only_lists: bool = False) -> Any:
    """Change what is shown of the inputs of predictions."""

    def bend(request: Any, body: Any) -> None:
        if "results" in body or not only_lists:
            for each in body.get("results", [body]):
                if isinstance(each.get("input"), dict):
                    change(each["input"])

    return bend


def rounded(input: dict[str, Any]) -> None:
    """Keep a number in four bytes."""
    input["scale"] = struct.unpack("f", struct.pack("f", input["scale"]))[0]


def cut(input: dict[str, Any]) -> None:
    """Show the beginning of a text. What tells the rows apart is at its end."""
    input["prompt"] = input["prompt"][:30] + "…"


def moved(input: dict[str, Any]) -> None:
    """Show a file by a URL."""
    input["image"] = "https://files.replicate.test/moved"


@dataclass(frozen=True)
class Story:
    """How a service shows inputs, what others create before or meanwhile, and what a run and a batch can tell."""

    run: str  # "sure", or "named" where it is one of several, or cannot be told
    bend: Any = None
    before: Callable[[Service], None] = lambda service: None
    meanwhile: Callable[[Service], None] = lambda service: None
    more: dict[str, Any] = field(default_factory=dict)
    ahead: float = 0.0
    batch: str = "found"


def a_while_ago(service: Service) -> None:
    """Another program has created an equal one."""
    service.another("acme/paid", input_of(1))
    service.simulator.clock.advance(WHILE)


def many(service: Service) -> None:
    """Other programs create so many that the lost one is not on the first page."""
    for number in range(120):
        service.another("acme/other", {"prompt": str(number)})


STORIES = {
    "shown as sent": Story("sure"),
    "defaults added": Story("sure", shows(lambda input: input.update(by=3.0))),
    "defaults added that nobody names": Story("named", shows(lambda input: input.update(go_fast=True))),
    "secret hidden": Story("sure", shows(lambda input: input.update(key="[REDACTED]"))),
    "number rounded": Story("named", shows(rounded)),
    "text cut": Story("named", shows(cut), batch="unknown"),
    "text cut in lists": Story("sure", shows(cut, only_lists=True)),
    "file moved": Story(
        "named", shows(moved), more={"image": "data:text/plain;base64,aGk="}, batch="unknown"
    ),
    "two equal candidates": Story("named", before=lambda service: service.another("acme/paid", input_of(1))),
    "two equal candidates, the other one later": Story(
        "named", meanwhile=lambda service: service.another("acme/paid", input_of(1))
    ),
    "another input": Story("sure", before=lambda service: service.another("acme/paid", input_of(7, by=5))),
    "other model": Story("sure", before=lambda service: service.another("acme/other", input_of(1))),
    "older than the window": Story("sure", before=a_while_ago, ahead=-WHILE),
    "on the second page": Story("sure", meanwhile=many),
    "clock an hour ahead": Story("sure", ahead=HOUR),
    "clock an hour behind": Story("sure", ahead=-HOUR),
}


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest) -> Story:
    """One of them."""
    return STORIES[request.param]


def begin(make: Callable[..., Service], story: Story, **options: Any) -> Service:
    """Let a story begin."""
    service = make(clock=Clock(start=time.time() + story.ahead), **options)
    service.bend = story.bend
    story.before(service)
    return service


@pytest.mark.slow  # a large family
def test_a_run_that_is_given_up_cancels_what_is_surely_its_own(
    make: Callable[..., Service], story: Story
) -> None:
    service = begin(make, story)
    losing = Losing(KeyboardInterrupt(), 1, acted=True, then=lambda: story.meanwhile(service))
    with service.losing(losing) as client, pytest.raises(KeyboardInterrupt) as caught:
        client.run("acme/paid", input_of(1, **story.more))
    (note,) = caught.value.__notes__
    assert losing.lost in note
    assert service.status(losing.lost) == ("canceled" if story.run == "sure" else "processing")
    assert ("is now 'canceled'" in note) is (story.run == "sure")
    assert {service.status(each) for each in service.others} <= {"processing", "starting"}


@pytest.mark.slow  # a large family
def test_a_run_whose_answer_is_lost_names_what_is_surely_its_own(
    make: Callable[..., Service], story: Story
) -> None:
    service = begin(make, story)
    losing = Losing(ConnectionLost("gone"), 1, acted=True, then=lambda: story.meanwhile(service))
    with service.losing(losing) as client, pytest.raises(UncertainCreate, match="gone") as caught:
        client.run("acme/paid", input_of(1, **story.more))
    (note,) = caught.value.__notes__
    assert losing.lost in note
    found = caught.value.prediction
    assert (found and found.id) == (losing.lost if story.run == "sure" else None)
    assert service.status(losing.lost) == "processing"


@pytest.mark.slow  # a large family
def test_a_batch_adopts_what_is_its_own_and_pays_for_nothing_twice(
    make: Callable[..., Service], story: Story, tmp_path: Path
) -> None:
    service = begin(make, story, endless=False)
    losing = Losing(ConnectionLost("gone"), 2, acted=True, then=lambda: story.meanwhile(service))
    rows = [input_of(number, **story.more) for number in (0, 1, 2, 3)]
    with service.losing(losing) as client:
        results = list(client.map("acme/paid", rows, journal=tmp_path / "journal", concurrency=1))
    assert service.simulator.created == 4 + len(service.others)
    (unresolved,) = (each for each, row in zip(results, rows, strict=True) if row == rows[1])
    assert all(each.error is None for each in results if each is not unresolved)
    if story.batch == "found":
        assert unresolved.output == f"out: {PROMPT.format(1)}"
    else:
        assert isinstance(unresolved.error, UnknownPrediction)


def test_of_two_equal_ones_both_are_named(make: Callable[..., Service]) -> None:
    service = begin(make, STORIES["two equal candidates"])
    losing = Losing(ConnectionLost("gone"), 1, acted=True, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(UncertainCreate) as caught:
        client.run("acme/paid", input_of(1))
    assert all(id in caught.value.__notes__[0] for id in (losing.lost, *service.others))


def test_of_many_candidates_a_few_are_named(make: Callable[..., Service]) -> None:
    service = make()
    for _ in range(8):
        service.another("acme/paid", input_of(1))
    losing = Losing(KeyboardInterrupt(), 1, acted=True, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(KeyboardInterrupt) as caught:
        client.run("acme/paid", input_of(1))
    assert caught.value.__notes__[0].endswith("and 4 more.")


@pytest.mark.parametrize("acted", [True, False])
def test_where_the_list_fails_the_error_stays_what_it_is(make: Callable[..., Service], acted: bool) -> None:
    service = make(faults=[Fault(operation="predictions.list", status=500)])
    losing = Losing(ConnectionLost("gone"), 1, acted=acted, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(UncertainCreate, match="gone") as caught:
        client.run("acme/paid", input_of(1))
    assert caught.value.prediction is None
    (note,) = caught.value.__notes__
    assert "client.predictions.list() shows it if so (a search for it failed: " in note
    assert service.simulator.calls["predictions.list"] == 2  # it is asked once more, and no more


@pytest.mark.parametrize(
    "answer", [{"results": None}, {"results": [{"id": 7}, 8, {}, {"id": "x", "input": []}]}, {"next": 5}]
)
def test_a_list_of_oddities_is_no_reason_for_another_error(
    make: Callable[..., Service], answer: dict[str, Any]
) -> None:
    service = make()

    def bend(request: Any, body: Any) -> None:
        if "results" in body:
            body.update(answer)

    service.bend = bend
    losing = Losing(ConnectionLost("gone"), 1, acted=False, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(UncertainCreate, match="gone") as caught:
        client.run("acme/paid", input_of(1))
    assert len(caught.value.__notes__) == 1


def test_a_batch_whose_list_fails_asks_again(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make(endless=False)
    service.simulator.faults.add(Fault(operation="predictions.list", calls={2, 3}, status=500))
    losing = Losing(ConnectionLost("gone"), 2, acted=True, then=lambda: None)
    rows = [input_of(number) for number in range(3)]
    with service.losing(losing) as client:
        results = list(client.map("acme/paid", rows, journal=tmp_path / "journal", concurrency=1))
    assert [each.error for each in results] == [None] * 3
    assert service.simulator.created == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionLost("gone")])
def test_what_was_never_created_is_not_found_in_what_others_created(
    make: Callable[..., Service], error: BaseException
) -> None:
    service = make(clock=Clock(start=time.time() - WHILE))
    a_while_ago(service)
    service.another("acme/other", input_of(1))
    losing = Losing(error, 1, acted=False, then=lambda: None)
    kinds = (KeyboardInterrupt, UncertainCreate)
    with service.losing(losing) as client, pytest.raises(kinds) as caught:
        client.run("acme/paid", input_of(1))
    assert "may have been created" in caught.value.__notes__[0]
    assert {service.status(each) for each in service.others} <= {"processing", "starting"}


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_between_two_clocks_that_differ_nothing_is_taken_for_its_own(
    make: Callable[..., Service], ahead: float
) -> None:
    service = make(clock=Clock(start=time.time() + ahead))
    a_while_ago(service)
    losing = Losing(KeyboardInterrupt(), 1, acted=False, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(KeyboardInterrupt) as caught:
        client.run("acme/paid", input_of(1))
    assert "may have been created" in caught.value.__notes__[0]
    assert service.status(service.others[0]) == "processing"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionLost("gone")])
def test_a_backend_that_lists_nothing_is_not_asked(
    make: Callable[..., Service], error: BaseException
) -> None:
    service = make()
    losing = Losing(error, 1, acted=True, then=lambda: None)
    with service.losing(losing) as client:
        client.session.abilities = Abilities(lists_predictions=False)
        with pytest.raises((KeyboardInterrupt, UncertainCreate)) as caught:
            client.run("acme/paid", input_of(1))
    assert "this backend lists no predictions" in caught.value.__notes__[0]
    assert not service.simulator.calls["predictions.list"]


def test_rows_of_a_backend_that_lists_nothing_stay_unknown(
    make: Callable[..., Service], tmp_path: Path
) -> None:
    service = make(endless=False)
    service.simulator.faults.add(Fault(operation="*.create", cut=True, acted=True, times=1))
    with Client(backend=service.simulator, poll_interval=0.01) as client:
        client.session.abilities = Abilities(lists_predictions=False)
        inputs = [input_of(1), input_of(2)]
        results = list(client.map("acme/paid", inputs, journal=tmp_path / "rows.sqlite", progress=False))
    assert sorted(result.status for result in results) == ["succeeded", "unknown"]
    (lost,) = [result.error for result in results if result.error is not None]
    assert "this backend lists no predictions" in str(lost)
    assert not service.simulator.calls["predictions.list"]
    assert service.simulator.created == 2


def test_what_runs_on_is_named_where_it_is_not_to_be_canceled(make: Callable[..., Service]) -> None:
    service = make()
    losing = Losing(KeyboardInterrupt(), 1, acted=True, then=lambda: None)
    with service.losing(losing) as client, pytest.raises(KeyboardInterrupt) as caught:
        client.run("acme/paid", input_of(1), cancel_on_exit=False)
    assert f"client.predictions.get('{losing.lost}')" in caught.value.__notes__[0]
    assert service.status(losing.lost) == "processing"


def test_what_was_found_can_be_waited_for_and_keeps_its_secrets(
    make: Callable[..., Service], drive: Drive
) -> None:
    service = make(endless=False)
    service.simulator.faults.add(Fault(operation="*.create", cut=True, acted=True))
    with Client(backend=service.simulator, poll_interval=0.01) as client:
        with pytest.raises(UncertainCreate) as caught:
            drive(client.async_run("acme/paid", input_of(1)))
        found = caught.value.prediction
        assert found is not None
        found.wait()
    assert found.output == f"out: {PROMPT.format(1)}"  # type: ignore[attr-defined]
    assert found.without_secrets("no hunter1 here") == "no [secret] here"
    assert service.simulator.calls["predictions.list"] == 1


def _streamed(client: Client) -> Callable[..., list[Any]]:
    return lambda **input: list(client.stream("acme/paid", input))


@pytest.mark.parametrize("way", ["stream", "use"])
def test_whatever_creates_by_a_run_says_what_was_found(make: Callable[..., Service], way: str) -> None:
    service = make()
    losing = Losing(ConnectionLost("gone"), 1, acted=True, then=lambda: None)
    with service.losing(losing) as client:
        create = client.use("acme/paid").create if way == "use" else _streamed(client)
        with pytest.raises(UncertainCreate) as caught:
            create(**input_of(1))
    assert caught.value.prediction is not None
    assert caught.value.prediction.id == losing.lost


def test_who_is_cancelled_while_it_is_searched_for_gives_it_up(make: Callable[..., Service]) -> None:
    service = make()
    service.simulator.faults.add(Fault(operation="predictions.list", calls={1}, delay=30.0))
    losing = Losing(ConnectionLost("gone"), 1, acted=True, then=lambda: None)

    async def main(client: Client) -> None:
        task = asyncio.create_task(client.async_run("acme/paid", input_of(1)))
        while not service.simulator.calls["predictions.list"]:  # noqa: ASYNC110 - it cannot tell
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert "is now 'canceled'" in caught.value.__notes__[0]

    with service.losing(losing) as client:
        asyncio.run(main(client))
    assert service.status(losing.lost) == "canceled"


class Suspended:
    """A layer that never comes to an end with a create."""

    @hookimpl
    def replicate_transport_layer(self) -> Any:
        return lambda inner: self

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        await self

    def __await__(self) -> Iterator[None]:
        yield

    async def aclose(self) -> None:
        """Hold nothing."""


def test_a_coroutine_that_is_closed_awaits_nothing_any_more(make: Callable[..., Service]) -> None:
    service = make()

    async def main(client: Client) -> None:
        runnable = Runnable(Reference.parse("acme/paid"), official=True)
        creating = Run().create(runnable, input_of(1), client.session)
        creating.send(None)
        creating.close()

    with Client(backend=service.simulator, plugins=[Suspended()]) as client:
        asyncio.run(main(client))
