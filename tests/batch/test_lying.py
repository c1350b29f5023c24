"""Services that show things late, in another form, or by another clock: nothing is paid twice for that."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit._files import downloading
from replicate_kit._unresolved import clocks
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.errors import FileError, RequestTimeout, ServerError, UnknownPrediction
from replicate_kit.simulator import Fault
from replicate_kit.simulator import sleep as simulated_sleep
from replicate_kit.transport import Abilities

from .bending import Bent, bent, predictions
from .conftest import Service, numbers

pytestmark = pytest.mark.slow  # a large family

UNANSWERED = Fault(operation="*.create", calls={2}, cut=True, acted=True)


def publish(service: Service) -> Service:
    """Add a model with a default, and one that takes a file."""

    @service.simulator.model("acme/times")
    def times(n: int, by: int = 3) -> int:
        return n * by

    @service.simulator.model("acme/size")
    def size(image: Path) -> int:
        return len(image.read_bytes())

    return service


def test_an_input_with_its_defaults_filled_in_is_recognised(make_service: Callable[..., Service]) -> None:
    service = publish(make_service(faults=[UNANSWERED]))

    def fill(request: httpx.Request, body: Any) -> None:
        for each in predictions(body):
            each["input"] = {"by": 3.0} | each["input"]

    with bent(service, fill) as client:
        results = list(client.map("acme/times", [{"n": 1}, {"n": 2}, {"n": 2, "by": 4}]))
    assert [each.output for each in results] == [3, 6, 8]
    assert service.creates == 3


def test_files_that_are_shown_elsewhere_leave_a_row_unknown_and_unpaid(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = publish(make_service(faults=[UNANSWERED]))

    def move(request: httpx.Request, body: Any) -> None:
        for each in predictions(body):
            each["input"]["image"] = "https://files.replicate.test/moved"

    rows = []
    for count in (1, 2, 3):
        file = tmp_path / str(count)
        file.write_bytes(b"x" * count)
        rows.append({"image": file})
    with bent(service, move) as client:
        results = list(client.map("acme/size", rows, concurrency=1))
    assert [each.output for each in results] == [1, None, 3]
    assert isinstance(results[1].error, UnknownPrediction)
    assert service.creates == 3


def test_files_that_are_shown_as_they_were_sent_are_recognised(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = publish(make_service(faults=[UNANSWERED]))

    def retype(request: httpx.Request, body: Any) -> None:
        for each in predictions(body):
            _, _, content = each["input"]["image"].partition(",")
            each["input"]["image"] = f"data:image/png;base64,{content}"

    rows = [{"image": bytes([count]) * count} for count in (1, 2, 3)]
    with bent(service, retype) as client:
        assert [each.output for each in client.map("acme/size", rows)] == [1, 2, 3]
    assert service.creates == 3


def test_a_prediction_that_is_not_found_for_a_while_is_not_lost(service: Service) -> None:
    seen: Counter[str] = Counter()

    def hide(request: httpx.Request, body: Any) -> httpx.Response | None:
        path = request.url.path
        seen[path] += 1
        late = request.method == "GET" and "/predictions/" in path and seen[path] <= 2
        problem = {"title": "Not found", "detail": "The prediction could not be found.", "status": 404}
        return httpx.Response(404, json=problem, request=request) if late else None

    with bent(service, hide) as client:
        threading.Timer(1.2, service.gate.set).start()
        results = list(client.map("acme/patient", numbers(2)))
    assert [each.status for each in results] == ["succeeded", "succeeded"]


@pytest.mark.usefixtures("found_at_once")
def test_a_prediction_that_is_never_found_is_unknown(service: Service) -> None:
    def hide(request: httpx.Request, body: Any) -> httpx.Response | None:
        gone = request.method == "GET" and "/predictions/" in request.url.path
        return httpx.Response(404, json={"detail": "no"}, request=request) if gone else None

    with bent(service, hide) as client:
        (result,) = client.map("acme/patient", numbers(1))
    assert result.status == "unknown"
    assert service.creates == 1


def test_a_slow_first_create_does_not_put_the_clocks_out(make_service: Callable[..., Service]) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={3}, cut=True, acted=True)])
    creates = []

    def delay(request: httpx.Request) -> float:
        if request.method != "POST":
            return 0.0
        creates.append(request)
        return 3.0 if len(creates) == 1 else 0.0

    with bent(service, delay=delay, timeout=1.0) as client:
        results = list(client.map("acme/double", numbers(4), concurrency=1))
    assert [each.output for each in results] == [0, 2, 4, 6]
    assert service.creates == 4


class _Jumping:
    """The clock of a computer that is set while a run goes on."""

    ahead = 0.0
    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        return time.time() + self.ahead


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_meanwhile_changes_nothing(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    service, clock = make_service(faults=[UNANSWERED]), _Jumping()
    monkeypatch.setattr(clocks, "time", clock)
    with service.client(timeout=0.5) as client, client.map("acme/double", numbers(4), concurrency=1) as batch:
        next(batch)
        clock.ahead = jump
        assert [each.output for each in batch] == [2, 4, 6]
    assert service.creates == 4


class Late:
    """A service that acts on its second create after the client has given up."""

    def __init__(self, service: Service) -> None:
        self.inner, self.creates, self.acting = Bent(service), 0, set[asyncio.Task[httpx.Response]]()
        self.base_url, self.output_origins = self.inner.base_url, self.inner.output_origins

    def connect(self, config: Any, /, *, blocking: bool) -> Any:
        self.transport = self.inner.connect(config, blocking=blocking)
        return self

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        self.creates += request.method == "POST"
        if request.method != "POST" or self.creates != 2:
            response: httpx.Response = await self.transport.send(request, stream=stream)
            return response
        self.acting.add(asyncio.create_task(self._act(request)))
        await asyncio.sleep(0.5)
        raise RequestTimeout("no answer", request=request)

    async def _act(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.8)
        response: httpx.Response = await self.transport.send(request)
        return response

    async def aclose(self) -> None:
        await self.transport.aclose()


def test_a_service_that_acts_after_the_timeout_is_waited_for(service: Service) -> None:
    with Client(backend=Late(service), poll_interval=0.02, timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(3), concurrency=1))
    assert [each.output for each in results] == [0, 2, 4]
    assert service.creates == 3


def test_what_fails_at_once_is_one_failure() -> None:
    trouble = Patience(60.0)
    together = [trouble.happened(ServerError("down", status=500)) for _ in range(50)]
    assert max(together) <= 0.5


def test_refusals_of_looks_do_not_end_a_run(service: Service) -> None:
    refused: list[httpx.Request] = []

    def refuse(request: httpx.Request, body: Any) -> httpx.Response | None:
        if request.method != "GET" or len(refused) >= 6:
            return None
        refused.append(request)
        return httpx.Response(429, headers={"Retry-After": "0"}, json={"status": 429}, request=request)

    with bent(service, refuse) as client:
        threading.Timer(0.3, service.gate.set).start()
        results = list(client.map("acme/patient", numbers(2), patience=0.01))
    assert [each.status for each in results] == ["succeeded", "succeeded"]


def showing(change: Callable[[dict[str, Any]], None]) -> Callable[[httpx.Request, Any], None]:
    """A list that shows less of predictions than a GET does."""

    def bend(request: httpx.Request, body: Any) -> None:
        for each in body.get("results", []):
            change(each)

    return bend


LESS: dict[str, Callable[[dict[str, Any]], None]] = {
    "no outputs": lambda each: each.update(output=None),
    "no output key": lambda each: each.pop("output"),
    "data removed": lambda each: each.update(data_removed=True, output=None, input={}, logs=""),
    "data removed, with output": lambda each: each.update(data_removed=True),
    "no errors": lambda each: each.update(error=None),
    "no metrics": lambda each: each.pop("metrics", None),
}


@pytest.mark.parametrize("name", LESS)
@pytest.mark.parametrize("rows", [1, 2, 20])
def test_a_list_that_shows_less_changes_no_result(service: Service, name: str, rows: int) -> None:
    @service.simulator.model("acme/slow", workers=64)
    def slow(n: int) -> int:
        simulated_sleep(1.2)  # beyond what a create is held for
        if n == 1:
            raise ValueError("no 1")
        return n

    with bent(service, showing(LESS[name])) as client:
        results = list(client.map("acme/slow", numbers(rows)))
    assert [each.output for each in results] == [None if n == 1 else n for n in range(rows)]
    assert [str(each.error) for each in results if each.error] == ["no 1"] * (rows > 1)
    assert [each.status for each in results if each.error is None] == ["succeeded"] * (rows - (rows > 1))


def test_what_is_adopted_from_a_list_that_shows_no_outputs_has_its_output(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[UNANSWERED])
    with bent(service, showing(LESS["no outputs"])) as client:
        assert [each.output for each in client.map("acme/double", numbers(4))] == [0, 2, 4, 6]
    assert service.creates == 4


def test_a_model_that_gives_nothing_has_succeeded_with_none(service: Service) -> None:
    @service.simulator.model("acme/nothing")
    def nothing(n: int) -> None:
        return None

    with service.client() as client:
        results = list(client.map("acme/nothing", numbers(3)))
    assert [(each.output, each.status) for each in results] == [(None, "succeeded")] * 3


@pytest.mark.parametrize("status", [408, 409, 418, 423, 424, 425, 444, 460, 499])
@pytest.mark.parametrize("acted", [True, False])
def test_an_answer_of_a_gateway_leaves_it_open_whether_the_service_acted(
    make_service: Callable[..., Service], status: int, acted: bool
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={2, 3}, status=status, acted=acted)])
    with service.client(timeout=0.3) as client:
        results = list(client.map("acme/double", numbers(5)))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5


@pytest.mark.parametrize("status", [408, 409, 425, 499, 503])
def test_a_backend_may_declare_that_a_status_refuses(
    make_service: Callable[..., Service], status: int
) -> None:
    class Busy(MockBackend):
        abilities = Abilities(refuses=frozenset({status}))

    service = make_service(faults=[Fault(operation="*.create", calls={2, 3}, status=status)])
    with Client(backend=Busy(service.simulator), poll_interval=0.02) as client:
        results = list(client.map("acme/double", numbers(5)))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5
    # Nothing is searched for: a search would look every two seconds, for a minute.
    assert service.simulator.calls["predictions.list"] <= 3


@pytest.mark.parametrize("body", [{}, {"id": ""}, [], None, {"id": 7}])
def test_an_answer_that_is_no_prediction_leaves_it_open_whether_there_is_one(
    service: Service, body: Any
) -> None:
    answered: list[httpx.Request] = []

    def bend(request: httpx.Request, _: Any) -> httpx.Response | None:
        if request.method != "POST" or answered:
            return None
        answered.append(request)
        return httpx.Response(201, json=body, request=request)

    with bent(service, bend) as client:
        assert [each.output for each in client.map("acme/double", numbers(4))] == [0, 2, 4, 6]
    assert service.creates == 4


@pytest.mark.parametrize("times", [1, 3, 5])
def test_a_list_that_is_not_there_for_a_while_ends_nothing(service: Service, times: int) -> None:
    service.simulator.faults.add(Fault(operation="predictions.list", status=404, times=times))
    threading.Timer(1.5, service.gate.set).start()
    with service.client() as client:
        results = list(client.map("acme/patient", numbers(8)))
    assert [each.output for each in results] == list(range(8))


@pytest.mark.parametrize("times", [1, 3])
def test_a_file_that_is_late_is_stored(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(downloading, "LATE", (0.01, 0.01, 0.01))
    service.simulator.faults.add(Fault(operation="outputs.get", status=404, times=times))
    with service.client() as client:
        (result,) = client.map("acme/pictures", [{"text": "a"}], save_to=str(tmp_path / "out"))
    assert result.error is None
    assert Path(result.files[0].removeprefix("file://")).exists()


def test_a_file_that_stays_away_within_its_hour_is_looked_for_by_the_next_run(
    service: Service, tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "LATE", (0.01,))
    service.simulator.faults.add(Fault(operation="outputs.get", status=404))
    save_to = str(tmp_path / "out")
    with service.client() as client:
        (first,) = client.map("acme/pictures", [{"text": "a"}], save_to=save_to, journal=journal)
        assert isinstance(first.error, FileError)
        (again,) = client.map(
            "acme/pictures", [{"text": "a"}], save_to=save_to, journal=journal, retry=("expired",)
        )
        assert isinstance(again.error, FileError)
        service.simulator.faults.clear()
        (last,) = client.map("acme/pictures", [{"text": "a"}], save_to=save_to, journal=journal)
    assert last.error is None
    assert service.creates == 1
